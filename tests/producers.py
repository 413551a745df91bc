"""Producers for tests: each a process of its own, forked from one that has imported Celery already.

That import takes 0.4 s of CPU; the start of an agent takes 1.5 s. The fork server of `multiprocessing` has neither
standard streams nor the `Popen` that tests expect. What a process inherits they have of the prepared one, not of who
starts them: network namespace, limits, umask.

    this process ── the prepared one ── one that waits for a producer, and tells how it ended ── the producer
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

# What producers import, but for what reads the environment: that is a producer's own.
IMPORTED = (
    "celery.backends.rpc",
    "celery_delivery.apps",
    "celery_delivery.broker.embedded",
    "celery_delivery.broker.rabbitmq",
    "celery_delivery.settings.environment",
    "kombu.transport.pyamqp",
)
ROOT = Path(__file__).parents[1]
LARGEST = 200_000  # bytes of a request: a script, and its environment
TOLD = 32  # bytes of a pid, or a status
PIPES = slice(10, 16)  # both ends of the three, among what `Popen` gives `_execute_child`


class Producer(subprocess.Popen[str]):
    """A script of Python that runs in a process of its own. All that can be done with a `Popen` can be done with it."""

    def __init__(self, script: str, environment: Mapping[str, str], folder: Path | None = None) -> None:
        """Start it in a folder, or in that of this process, with a pipe for each of its standard streams."""
        where = str(folder or os.getcwd())
        self._request = json.dumps({"script": script, "environment": dict(environment), "folder": where}).encode()
        assert len(self._request) <= LARGEST
        self._teller, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pipe = subprocess.PIPE
        super().__init__(["python", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def _execute_child(self, *given: Any) -> None:
        stdin, _, _, stdout, _, stderr = given[PIPES]
        with self._theirs:
            try:
                socket.send_fds(_prepared()[0], [self._request], [stdin, stdout, stderr, self._theirs.fileno()])
            except OSError:
                _prepared.cache_clear()  # the next one gets another
                raise
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        self._closed_child_pipe_fds = True
        self.pid = self._told()
        self._child_created = True

    def _told(self, flags: int = 0) -> int:
        told = self._teller.recv(TOLD, flags)
        if not told:
            raise RuntimeError("a process between this one and the producer has ended")
        return int(told)

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Return what `os.waitpid` does for a child of this process."""
        try:
            status = self._told(socket.MSG_DONTWAIT if wait_flags & os.WNOHANG else 0)
        except BlockingIOError:
            return 0, 0
        self._teller.close()
        return self.pid, status

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        waited: int | None = super()._internal_poll(_deadstate, lambda _, flags: self._try_wait(flags))  # type: ignore[misc]
        return waited


def start(
    script: str, environment: Mapping[str, str], folder: Path | None = None, interpreter: str = sys.executable
) -> subprocess.Popen[str]:
    """Start a script with a pipe for each of its standard streams; in another interpreter than ours it is no `Producer`."""
    if interpreter == sys.executable:
        return Producer(script, environment, folder)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [interpreter, "-c", script], env=environment, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


@cache
def _prepared() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Return the process that producers are forked from, and where it is asked; it ends when this one does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * LARGEST)
    with theirs:
        code = f"from tests import producers; producers.serve({theirs.fileno()})"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, pass_fds=[theirs.fileno()])
    return ours, process


def serve(descriptor: int) -> None:
    """Fork a producer for each request that comes, until nobody is there who asks. In a producer, run its script."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    control = socket.socket(fileno=descriptor)
    while True:
        request, given, _, _ = socket.recv_fds(control, LARGEST, 4)
        if not request:
            os._exit(0)
        if not os.fork():
            control.close()
            break
        for each in given:
            os.close(each)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # those that have ended before
                pass
    *streams, teller = given
    if pid := os.fork():
        _tell_of(pid, teller, streams)
    os.close(teller)
    _run(**json.loads(request), streams=streams)


def _tell_of(pid: int, teller: int, streams: list[int]) -> NoReturn:
    """Say which process it is, and how it ended."""
    for each in streams:  # who reads what it writes has to see its end
        os.close(each)
    with socket.socket(fileno=teller) as listener:
        listener.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        listener.send(str(status).encode())
    os._exit(0)


def _run(script: str, environment: dict[str, str], folder: str, streams: list[int]) -> None:
    """Do what `python -c SCRIPT` does."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.argv[:] = ["-c"]
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(script, "<string>", "exec"), vars(main))
