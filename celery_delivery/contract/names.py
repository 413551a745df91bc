"""Which tasks a package of contracts knows by name, whether somebody has imported them or not."""

import logging
import pkgutil
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import celery

from celery_delivery.contract.contracts import Contracts, queue_of

# Modules of a package that are programs, or of tests: importing them would do something.
_NO_CONTRACTS = ("__main__", "conftest", "setup", "test")

_log = logging.getLogger(__name__)


class Names:
    """The contracts of a package by the names of their tasks; its modules are imported when a name is not found otherwise."""

    def __init__(self, contracts: Contracts) -> None:
        self.contracts = contracts
        self._found: dict[str, type[celery.Task]] = {}
        self._is_whole = False

    def find(self, name: str) -> type[celery.Task] | None:
        """Return the contract of a task, None where there is none."""
        if name not in self._found:
            self._look()
        if name not in self._found and not self._is_whole:
            self._is_whole = True
            _import_all(self.contracts.package)
            self._look()
        return self._found.get(name)

    def has_queue(self, queue: str) -> bool:
        """Say whether a queue is that of a contract."""
        self.find(queue)  # looks at all of them, or at one of that name
        return any(queue_of(each) == queue for each in self._found.values())

    def similar(self, name: str) -> str:
        """Return "Did you mean …?" for the most similar name, "" where none is."""
        found = get_close_matches(name, self._found, n=1)
        return f"Did you mean {found[0]!r}?" if found else ""

    def _look(self) -> None:
        for task in _derived(celery.Task):
            if isinstance(task.name, str) and self.contracts.has(task) and self.contracts.holds(task.__module__):
                self._found.setdefault(task.name, task)


def _derived(task: type[celery.Task]) -> Iterator[type[celery.Task]]:
    """Yield the classes that inherit from one, each before those that inherit from it."""
    for each in task.__subclasses__():
        yield each
        yield from _derived(each)


def _import_all(package: str) -> None:
    try:
        places: Any = import_module(package).__path__ if package else ()
    except (ImportError, AttributeError):
        return  # a package that tests made up, or a module
    for module in pkgutil.iter_modules(places, f"{package}."):
        if module.name.rpartition(".")[2].startswith(_NO_CONTRACTS):
            continue
        try:
            import_module(module.name)
        except Exception as error:  # noqa: BLE001 - whatever a module does when it is imported
            _log.warning("The contracts of %s are not known here, since it can't be imported: %r", module.name, error)
            continue
        if module.ispkg:
            _import_all(module.name)
