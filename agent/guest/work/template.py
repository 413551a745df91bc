"""The process that imports Celery and the preloaded modules once, and forks a worker whenever the daemon asks.

It has one thread, no connection and no state: it may die or be replaced at any time, and its workers live on. A worker is
forked twice, so that the daemon, a child subreaper, becomes its parent:

    template ── fork ──> intermediate ── fork ──> worker
       │                      └── exits; the worker is adopted by the daemon
       └── tells the daemon the pid, then lets the worker run on
"""

from __future__ import annotations

import gc
import importlib
import io
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from .. import code
from ..descriptors import opened, unshareable_since
from ..kernel import (
    be_no_subreaper,
    die_with_parent,
    fork_without_hooks,
    give_back_freed_memory,
    set_name,
    set_title,
)
from ..library import is_there, lend, misfit
from ..messages import LARGEST, Answer, Fork, Forked, ForkFailed, Prepare, Prepared, decode, encode
from ..projects import find, is_preloaded, load
from ..threads import left_since, running
from . import holes
from .modules import FIRST, MODULES, SHARED
from .process import become_worker, enter_cgroup, forget_attributes, forget_exits, run
from .replacements import Replacements

if TYPE_CHECKING:
    from .output import Voice

CONTROL = 3  # the descriptor of the socket to the daemon
MOST_CODES = 4  # that are kept: queues run that of the reloads that changed them last
CONFIGURATION = 78  # exit status where what the operator wrote can't be run (EX_CONFIG of sysexits.h)

_BUFFERED = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def main() -> None:
    """Serve fork requests from the socket at CONTROL until it is closed."""
    daemon = os.getppid()
    die_with_parent()
    control = socket.socket(fileno=CONTROL)
    gc.disable()  # so that the imports leave no holes in pages that the children share
    prepare = decode(control.recv(LARGEST))
    if not isinstance(prepare, Prepare):
        raise SystemExit(f"template: expected Prepare, got {prepare!r}")
    set_name("agent-template")
    started = time.monotonic()
    voice, shared, replacements = _import_all(prepare)
    set_title(f"celery-agent template of {voice.instance}")
    be_no_subreaper()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, nobody can be waited for
    forget_exits()
    gc.collect()  # what user code has left; what is frozen is not looked at
    gc.unfreeze()
    _empty_buffers()
    forget_attributes()
    holes.fill()
    gc.freeze()  # measured: 1.4 MB instead of 13.2 MB of private memory after a child's first full collection
    give_back_freed_memory()
    control.send(encode(Prepared(time.monotonic() - started)))
    template = Template(control, daemon, prepare.template.celery_config, voice, shared, replacements)
    while template.serve_one():
        pass
    # What modules have registered for their end is left undone: workers live on, and use what they have made.
    os._exit(0)


def _import_all(prepare: Prepare) -> tuple[Voice, frozenset[int], Replacements]:
    """Import what the workers will need.

    Return what they speak with, the descriptors that user code has opened, and what it has replaced.
    Ends the process where no worker could be forked.
    """
    settings, app = prepare.template.celery_config, prepare.template.app
    sys.path[:0] = prepare.template.path
    if not settings or not is_there(settings):
        lend()
    text = misfit()
    if text is not None:
        _refuse(f"{sys.executable} can't be used: {text}")
    try:
        for name in FIRST:
            importlib.import_module(name)
        first = frozenset(sys.modules)
        from .foresight import import_c_parser, look_ahead
        from .output import speak  # needs Celery too, which may be on that path only
        from .plugins import look
    except ImportError as error:
        _refuse(f"{sys.executable} can't be used: {error}")
    voice = speak(prepare.instance, os.environ)
    own = opened()
    for name in (*MODULES, *SHARED, f"{__package__}.worker"):
        _preload(name, f"{name} is imported", own)
    _look_for_what_mends_need()
    replacements = Replacements(first)
    gc.freeze()  # of 73,000 objects 600 are garbage: to find it takes 20 ms, and holes that it leaves fill in each worker
    # What is wrong with the settings is told by the planner whenever it reads the configuration, and by each worker.
    if settings:
        _try(partial(importlib.import_module, settings), f"CELERY_AGENT_CELERY_CONFIG is {settings!r}", own)
    import_c_parser()
    for name in prepare.template.preload:
        where = f"CELERY_AGENT_PRELOAD names {name!r}"
        _preload(name, where, own)
        if is_preloaded(app, [name]):
            _told(app, _try(lambda: load(find(app)), where, own))
    look()
    look_ahead()
    return voice, opened() - own, replacements


def _look_for_what_mends_need() -> None:
    """Have the library look now, in Celery's own code: each worker would, and make pages its own that it now shares."""
    from celery_delivery import internals, mending

    for mend in (*internals.REQUIRED, *internals.OPTIONAL):
        mending.obstacle(mend)


def _preload(name: str, where: str, own: frozenset[int]) -> None:
    _told(name, _try(partial(importlib.import_module, name), where, own))


def _told(name: str, failure: str) -> None:
    if failure:  # a worker that needs it will fail by itself, the others must not
        print(f"template: {name} could not be preloaded: {failure}", file=sys.stderr, flush=True)


def _try(load_code: Callable[[], object], where: str, own: frozenset[int]) -> str:
    """Have user code imported; return why that fails, "" where it does not.

    own: the descriptors of the template itself. Ends the process where there are others that workers can't share, or where
    the import leaves threads behind.
    """
    before = running()
    failure = ""
    try:
        load_code()
    except (Exception, SystemExit) as error:
        failure = traceback.format_exception_only(error)[-1].strip()
    text = left_since(before) or unshareable_since(own)
    if text:
        _refuse(f"{where}, but {text}")
    return failure


def _empty_buffers() -> None:
    """Write what the buffers of log handlers and open files hold: each worker would write it once more."""
    for each in gc.get_objects():
        # Not isinstance(), which asks lazy objects for their class, so that they make what they stand for.
        kind = type(each)
        if issubclass(kind, logging.Handler) or (issubclass(kind, _BUFFERED) and not each.closed):
            try:
                each.flush()
            except Exception as error:  # the disk is full, say
                print(f"template: {each!r} could not be written: {error}", file=sys.stderr, flush=True)


def _refuse(text: str) -> NoReturn:
    print(f"template: {text}", file=sys.stderr, flush=True)
    raise SystemExit(CONFIGURATION)


class Template:
    """What forks workers, and what each of them is given."""

    def __init__(
        self,
        control: socket.socket,
        daemon: int,
        celery_config: str,
        voice: Voice,
        shared: frozenset[int],
        replacements: Replacements,
    ) -> None:
        """Take the socket that requests come by, the daemon's pid, the settings module, and what workers speak with.

        shared: descriptors that user code has opened, which each worker keeps.
        replacements: what user code replaces in Celery, which each worker puts in place.
        """
        self._control = control
        self._daemon = daemon
        self._celery_config = celery_config
        self._voice = voice
        self._shared = shared
        self._replacements = replacements
        self._codes: dict[int, code.Modules] = {}  # by the numbers of the files that they were read from

    def serve_one(self) -> bool:
        """Wait for a request and serve it; return False when there will be no more."""
        datagram, descriptors, _, _ = socket.recv_fds(self._control, LARGEST, 4)
        if not datagram:
            return False
        # Programs that tasks start must not hold a worker's ends, nor write there. recv_fds of Python 3.11 passes no flags
        # on, so MSG_CMSG_CLOEXEC can't be asked for.
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        request = decode(datagram)
        if not isinstance(request, Fork):
            raise SystemExit(f"template: expected Fork, got {request!r}")
        try:
            self._code(descriptors[2])
            self._fork(request, descriptors)
        except OSError as error:
            self._answer(request, ForkFailed(str(error)))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _answer(self, request: Fork, outcome: Forked | ForkFailed) -> None:
        self._control.send(encode(Answer(request.spec.queue, request.generation, outcome)))

    def _fork(self, request: Fork, descriptors: list[int]) -> None:
        read_pid, write_pid = os.pipe()
        read_go, write_go = os.pipe()
        try:
            intermediate = fork_without_hooks()  # those of the worker's own fork are called
            if intermediate == 0:
                self._be_intermediate(request, descriptors, write_pid, read_go, write_go)
            os.close(write_pid)
            write_pid = -1
            text = os.read(read_pid, 32)
            os.waitpid(intermediate, 0)
            if not text:
                raise OSError("the second fork failed")
            self._answer(request, Forked(int(text)))
            os.write(write_go, b"g")
        finally:
            for descriptor in (read_pid, write_pid, read_go, write_go):
                if descriptor >= 0:
                    os.close(descriptor)

    def _be_intermediate(
        self, request: Fork, descriptors: list[int], write_pid: int, read_go: int, write_go: int
    ) -> None:
        """Fork the worker and end; never returns, in neither process."""
        try:
            pid = os.fork()
            if pid:
                os.write(write_pid, str(pid).encode())
        except BaseException:
            os._exit(1)
        if pid:
            os._exit(0)
        # The daemon must hear of this process before anything that it reports: wait until the template has told.
        os.close(write_go)
        if not os.read(read_go, 1):
            os._exit(1)
        run(lambda: self._be_worker(request, *descriptors), descriptors[1])

    def _code(self, descriptor: int) -> code.Modules:
        """Return what a worker imports; read once, it is common to all workers that are forked."""
        number = os.fstat(descriptor).st_ino
        if number not in self._codes:
            self._codes = {**dict([*self._codes.items()][-MOST_CODES + 1 :]), number: code.read(descriptor)}
        return self._codes[number]

    def _be_worker(self, request: Fork, report: int, board: int, kept: int, group: int | None = None) -> int:
        modules = self._code(kept)
        if group is not None:
            # Not in the intermediate process: the kernel takes up to some 10 ms, for which the template would wait.
            enter_cgroup(group)
        spec, generation = request.spec, request.generation
        become_worker(self._daemon, spec.queue, (report, board, *self._voice.descriptors()), self._shared)
        kind = "schedule" if spec.schedule is not None else "watcher" if spec.watch is not None else "worker"
        set_title(f"celery-agent {kind} {spec.queue}.{generation} of {self._voice.instance}")
        code.import_from(modules)
        given = (self._celery_config, socket.socket(fileno=report), board, self._voice)
        if spec.schedule is not None:
            from .beat import main as send

            return send(spec, spec.schedule, generation, *given, self._replacements)
        if spec.watch is not None:
            from .watcher import main as watch

            return watch(spec, spec.watch, generation, *given)
        from .worker import main as work  # needs the library, which may be on the path only since Prepare

        return work(request, *given, self._replacements)
