"""What user code replaces in Celery, and the modules that hold the former one.

What watches tasks, such as Sentry or New Relic, replaces functions of Celery. Under `celery worker` the worker's modules are
imported after the application, so that `from celery.app.trace import build_tracer` in them finds the replacement. The
template imports them before, for the memory that is shared: there each worker puts the replacement in place.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import TypeGuard

_PACKAGES = ("celery", "kombu", "billiard", "amqp", "vine")


class Replacements:
    """The functions and classes of Celery, and of what it is built on, that are replaced from now on.

    A module notes what is assigned to its attributes. To look at all of them in each worker would make the pages that they
    lie on the worker's own: 0.3 MB.
    """

    def __init__(self, early: Iterable[str]) -> None:
        """Watch the modules that there are now; take the names of those that hold nothing former."""
        self._noted: dict[tuple[str, str], object] = {}  # what was replaced first, by the names of module and attribute
        self._holders: dict[int, list[tuple[str, str]]] = defaultdict(list)  # who else has it, by its id
        watched = _noting(self._noted)
        for name, module in list(sys.modules.items()):
            if type(module) is ModuleType and _is_watched(name):
                module.__class__ = watched
        for name in sys.modules.keys() - frozenset(early):
            for attribute, value in vars(sys.modules[name]).items():
                if _is_replaceable(value) and value.__module__ != name and _is_watched(value.__module__):
                    self._holders[id(value)].append((name, attribute))

    def put_in_place(self) -> None:
        """Have each name that still stands for what was replaced stand for what is there now."""
        for (source, original), former in self._noted.items():
            present = vars(sys.modules[source]).get(original, former)
            for module, name in self._holders.get(id(former), ()):
                names = vars(sys.modules[module])
                if names.get(name) is former:
                    names[name] = present


def _noting(noted: dict[tuple[str, str], object]) -> type[ModuleType]:
    class Watched(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            former = vars(self).get(name)
            if _is_replaceable(former) and former.__module__ == self.__name__:
                noted.setdefault((self.__name__, name), former)
            super().__setattr__(name, value)

    return Watched


def _is_replaceable(value: object) -> TypeGuard[type | FunctionType]:
    return isinstance(value, (type, FunctionType))


def _is_watched(module: str) -> bool:
    return module.partition(".")[0] in _PACKAGES
