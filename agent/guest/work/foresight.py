"""What each worker would find out on its way to the first task: the template does, so that its workers need not.

Whatever a worker touches makes a page of memory its own that it shares until then. Of 12.5 MB, with 20 workers:

    the template                                                           spares a worker
    ---------------------------------------------------------------------  ---------------
    warns that they run as root, where they do, once and for all of them   0.3 MB
    asks what a worker asks abstract classes, which keep the answer        0.3 MB
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from numbers import Integral
from socket import socket
from types import FunctionType, MethodType, ModuleType

from billiard.util import get_pdeathsig
from celery.exceptions import SecurityError, SecurityWarning
from celery.platforms import check_privileges
from vine.abstract import Thenable

# As a starting worker does, seen by a trace of ABCMeta.__subclasscheck__. A "no" is kept until some class is registered.
ASKED: tuple[tuple[type, tuple[type, ...]], ...] = (
    (Mapping, (ModuleType, list, map, tuple)),
    (Iterable, (list, tuple)),
    (Integral, (int, str, socket)),
    (Thenable, (FunctionType, MethodType)),
)


def look_ahead() -> None:
    """Find it out; to be called when all is imported that workers share."""
    for abstract, kinds in ASKED:
        for kind in kinds:
            with suppress(Exception):  # of a preloaded class that the question is passed on to
                issubclass(kind, abstract)
    # Python shows a warning once for each process. What Celery refuses as root, each worker looks at by itself.
    with suppress(SecurityError, SecurityWarning):
        check_privileges(())


def import_c_parser() -> None:
    """Have billiard import what it imports when it ties a pool child to its parent: cffi's C parser, where there is cffi.

    Many a library brings it; each child then took 22 ms of CPU and 2.7 MB more.
    """
    try:
        get_pdeathsig()
    except OSError:  # billiard's word for whatever goes wrong: a child then fails to be tied, and says so
        pass
