"""Which modules have left threads, or descriptors that forked processes can't share, when they were imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from types import ModuleType

from ..descriptors import opened, unshareable_since
from ..threads import running


class Culprits:
    """What was there after each import of a module, and was not before; the innermost module has made it."""

    def __init__(self, threads: frozenset[int], descriptors: frozenset[int]) -> None:
        """Take what was there before."""
        self._threads = dict.fromkeys(threads, "")
        self._descriptors = dict.fromkeys(descriptors, "")

    def note(self, module: str) -> None:
        """Note what there is now as a module's, where it is nobody's yet."""
        for found, by in ((running(), self._threads), (opened(), self._descriptors)):
            for each in found - by.keys():
                by[each] = module

    def names(self) -> list[str]:
        """Return the modules whose threads and descriptors are still there, and can't be shared; sorted."""
        there = opened()
        descriptors = (each for each in there & self._descriptors.keys() if unshareable_since(there - {each}))
        found = {self._descriptors[each] for each in descriptors}
        found |= {self._threads[each] for each in running() & self._threads.keys()}
        return sorted(found - {""})


@contextmanager
def watched(threads: frozenset[int], descriptors: frozenset[int]) -> Iterator[Culprits]:
    """Watch what the imports of Python modules leave behind, beside the threads and descriptors that there are."""
    culprits = Culprits(threads, descriptors)
    stock = SourceFileLoader.exec_module

    def exec_module(self: SourceFileLoader, module: ModuleType) -> None:
        stock(self, module)
        culprits.note(module.__name__)

    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign,assignment]
    try:
        yield culprits
    finally:
        SourceFileLoader.exec_module = stock  # type: ignore[method-assign]
