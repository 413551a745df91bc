"""Names that modules have taken from one another, taken anew where user code has put something else in their place.

What watches tasks, such as Sentry or New Relic, replaces functions of Celery. Under `celery worker` the worker's modules are
imported after the application, so that `from celery.app.trace import build_tracer` in them finds the replacement. The
template imports them before, for the memory that is shared. What it had imported then is found and replaced in each worker.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType

_PACKAGES = ("celery", "kombu", "billiard", "amqp", "vine")


@dataclass(frozen=True, slots=True)
class Binding:
    """A name in a module that stands for what another module has made, and by which name it is there."""

    module: str
    name: str
    value: object
    source: str
    original: str


def bindings_of(modules: Iterable[str]) -> tuple[Binding, ...]:
    """Return the names of these modules that stand for functions and classes of Celery and what it is built on."""
    return tuple(binding for module in modules for binding in _bindings(module))


def bind_again(bindings: Iterable[Binding]) -> None:
    """Have each name stand for what its source has now, unless somebody has given it another meaning meanwhile."""
    for each in bindings:
        present = vars(sys.modules[each.source]).get(each.original, each.value)
        module = vars(sys.modules[each.module])
        if present is not each.value and module.get(each.name) is each.value:
            module[each.name] = present


def _bindings(module: str) -> Iterator[Binding]:
    for name, value in vars(sys.modules[module]).items():
        if isinstance(value, (type, FunctionType)):
            source, original = value.__module__, value.__name__
            if source != module and source.partition(".")[0] in _PACKAGES and source in sys.modules:
                if vars(sys.modules[source]).get(original) is value:
                    yield Binding(module, name, value, source, original)
