"""Values that never change: `@dataclass(frozen=True, slots=True)`, and what it makes of a class, for a tenth of the CPU.

The one of `dataclasses` writes six methods for each class and compiles them: 0.4 ms, of which an agent that starts needed more
than for all else that it imports. Here all classes share one of each. What makes an instance is compiled at its first.

Fields have a default, a `default_factory`, or neither; `fields`, `replace`, `asdict` and `match` know the classes as they do
others.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, fields
from dataclasses import dataclass as _dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, slots: bool) -> Any:
        """Return a decorator of classes; both are always true."""
        if not (frozen and slots):
            raise TypeError("a value is frozen, and has slots")
        return _made


def _made(kind: type) -> type:
    made: Any = _dataclass(init=False, repr=False, eq=False, slots=True)(kind)
    names = tuple(made.__dataclass_fields__)
    made.__init__ = _first_init(made)
    made._values = _getter(names)  # of an instance, as a tuple
    for name, method in _SHARED.items():
        if name not in vars(kind):
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _getter(names: tuple[str, ...]) -> property:
    match names:
        case ():
            return property(lambda _: ())
        case (name,):
            return property(lambda self: (getattr(self, name),))
        case _:
            return property(attrgetter(*names))


def _first_init(made: Any) -> Any:
    def init(self: Any, *args: Any, **given: Any) -> None:
        made.__init__ = _init(made)
        made.__init__(self, *args, **given)

    return init


def _init(made: Any) -> Any:
    """Return the method that sets the fields of a new instance, as `dataclasses` makes it."""
    names: dict[str, Any] = {"MISSING": MISSING}
    parameters, lines = [], []
    for each in fields(made):
        names[f"set_{each.name}"] = getattr(made, each.name).__set__  # of the slot
        value = each.name
        if each.default_factory is not MISSING:
            names[f"make_{each.name}"] = each.default_factory
            value = f"make_{each.name}() if {each.name} is MISSING else {each.name}"
            parameters.append(f"{each.name}=MISSING")
        elif each.default is not MISSING:
            names[f"default_{each.name}"] = each.default
            parameters.append(f"{each.name}=default_{each.name}")
        else:
            parameters.append(each.name)
        lines.append(f" set_{each.name}(self, {value})\n")
    source = f"def __init__({', '.join(['self', *parameters])}):\n{''.join(lines) or ' pass'}"
    exec(source, names)  # noqa: S102 - of names alone, as `dataclasses` does
    init = names["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init


def _equal(self: Any, other: Any) -> Any:
    return self._values == other._values if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(self._values)


def _shown(self: Any) -> str:
    shown = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self))
    return f"{type(self).__qualname__}({shown})"


def _refuse(_self: Any, name: str, *_: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _reduced(self: Any) -> tuple[type, tuple[Any, ...]]:
    return type(self), self._values  # for `copy` and `pickle`, which would assign


_SHARED = {
    "__eq__": _equal,
    "__hash__": _hash,
    "__repr__": _shown,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__reduce__": _reduced,
}
