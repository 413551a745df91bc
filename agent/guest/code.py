"""The code of a project as it was when the planner imported it, so that a worker that is replaced later runs the same.

The planner's importing half writes it, the template reads it, and each worker imports from it. It is one value of `marshal`:
the interpreter's magic number, and for each module its file, whether it is a package, and its code. The file is a memfd of the
daemon's, which seals it.

What is installed is left out: it changes by an installation, not by a save. So is what no task module imports at once.
"""

from __future__ import annotations

import marshal
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import MAGIC_NUMBER, spec_from_file_location
from pathlib import PurePath
from types import CodeType, ModuleType

from .library import PACKAGE
from .spec import Source
from .values import dataclass

_INSTALLED = {"site-packages", "dist-packages"}
_OURS = {PACKAGE, __name__.partition(".")[0], "__main__"}


@dataclass(frozen=True, slots=True)
class Module:
    """What a worker needs to import one module; `code` is marshalled."""

    file: str
    is_package: bool
    code: bytes


Modules = dict[str, Module]


def sources(modules: Mapping[str, ModuleType | None]) -> list[Source]:
    """Return the modules of the project among some, as sys.modules has them, and what their files look like now."""
    library = sysconfig.get_path("stdlib")
    found = []
    for name, module in list(modules.items()):
        spec = getattr(module, "__spec__", None)
        file = getattr(spec, "origin", None)
        if type(getattr(spec, "loader", None)) is not SourceFileLoader or name.partition(".")[0] in _OURS:
            continue
        if (
            not isinstance(file, str)
            or _INSTALLED.intersection(PurePath(file).parts)
            or file.startswith(library + os.sep)
        ):
            continue
        try:
            status = os.stat(file)
        except OSError:  # it has gone since
            continue
        found.append(Source(name, file, status.st_mtime_ns, status.st_size))
    return found


def write(descriptor: int, found: Iterable[Source]) -> None:
    """Write the code of modules; what can't be compiled any more is left out."""
    kept = {}
    for each in found:
        try:
            code = SourceFileLoader(each.name, each.file).get_code(each.name)
        except (ImportError, SyntaxError, ValueError):  # it was saved meanwhile
            continue
        if code is not None:
            kept[each.name] = (each.file, _is_package(each.file), marshal.dumps(code))
    unwritten = memoryview(marshal.dumps((MAGIC_NUMBER, kept)))
    while unwritten:
        unwritten = unwritten[os.write(descriptor, unwritten) :]


def read(descriptor: int) -> Modules:
    """Return what `write` has written; nothing where that was cut off, or another interpreter wrote it."""
    try:
        magic, kept = marshal.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))  # noqa: S302 - of user code's own
    except (EOFError, TypeError, ValueError):
        return {}
    return {name: Module(*each) for name, each in kept.items()} if magic == MAGIC_NUMBER else {}


class Finder(MetaPathFinder):
    """Finds the modules that were kept, whatever has become of their files."""

    def __init__(self, modules: Modules) -> None:
        """Take what was kept."""
        self._modules = modules

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - a name is enough
        target: ModuleType | None = None,  # noqa: ARG002 - likewise
    ) -> ModuleSpec | None:
        """Return the spec of a module that was kept, None for any other."""
        module = self._modules.get(fullname)
        if module is None:
            return None
        return spec_from_file_location(
            fullname,
            module.file,
            loader=_Loader(fullname, module),
            submodule_search_locations=[os.path.dirname(module.file)] if module.is_package else None,
        )


class _Loader(SourceFileLoader):
    def __init__(self, name: str, module: Module) -> None:
        super().__init__(name, module.file)
        self._code = module.code

    def get_code(self, fullname: str) -> CodeType | None:  # noqa: ARG002 - it loads no other
        code: CodeType = marshal.loads(self._code)  # noqa: S302 - written by `write`
        return code


def import_from(modules: Modules) -> None:
    """Have this process import what was kept, before it looks for files."""
    if modules:
        sys.meta_path.insert(0, Finder(modules))


def _is_package(file: str) -> bool:
    return os.path.basename(file) == "__init__.py"
