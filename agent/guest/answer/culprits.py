"""Which modules have left threads, or descriptors that forked processes can't share, when they were imported."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from types import FrameType, ModuleType

from ..descriptors import opened, unshareable_since
from ..threads import running


class Culprits:
    """What was there after each import of a module, and was not before; the innermost module has made it."""

    def __init__(self, threads: frozenset[int], descriptors: frozenset[int], project: str) -> None:
        """Take what was there before, and the package whose functions are told from those of libraries."""
        self._threads = dict.fromkeys(threads, "")
        self._descriptors = dict.fromkeys(descriptors, "")
        self._project = project
        self._importing = [""]

    def note(self) -> None:
        """Note what there is now as the innermost module's that is being imported, where it is nobody's yet."""
        self._note(self._importing[-1])

    def begin(self, module: str) -> None:
        """Note that a module is being imported; what is there is not its own."""
        self.note()
        self._importing.append(module)

    def end(self) -> None:
        """Note that its import is at an end."""
        self._importing.pop()

    def note_connecting(self) -> None:
        """Note a socket, which is about to be connected, as that of the innermost function of the project."""
        frame = inspect.currentframe()
        while frame is not None and _package(frame) != self._project:
            frame = frame.f_back
        self._note(frame.f_globals["__name__"] if frame is not None else self._importing[-1])

    def names(self) -> list[str]:
        """Return the modules whose threads and descriptors are still there, and can't be shared; sorted."""
        there = opened()
        descriptors = (each for each in there & self._descriptors.keys() if unshareable_since(there - {each}))
        found = {self._descriptors[each] for each in descriptors}
        found |= {self._threads[each] for each in running() & self._threads.keys()}
        return sorted(found - {""})

    def _note(self, module: str) -> None:
        for found, by in ((running(), self._threads), (opened(), self._descriptors)):
            for each in found - by.keys():
                by[each] = module


@contextmanager
def watched(threads: frozenset[int], descriptors: frozenset[int], project: str) -> Iterator[Culprits]:
    """Watch what a package and its imports leave behind, beside the threads and descriptors that there are."""
    culprits = Culprits(threads, descriptors, project)
    stock = SourceFileLoader.exec_module
    is_watching = True

    def exec_module(self: SourceFileLoader, module: ModuleType) -> None:
        culprits.begin(module.__name__)
        try:
            stock(self, module)
            culprits.note()
        finally:
            culprits.end()

    def hook(event: str, _: object) -> None:
        if is_watching and event == "socket.connect":
            culprits.note_connecting()

    sys.addaudithook(hook)  # there is no way to remove it: it ends with this process
    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign,assignment]
    try:
        yield culprits
    finally:
        is_watching = False
        SourceFileLoader.exec_module = stock  # type: ignore[method-assign]


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]
