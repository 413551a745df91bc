"""The daemon's children: who they are, who waits for them, how they are signalled.

A pid is signalled only while it is in the registry, and leaves the registry when it is reaped; in between the kernel keeps
it for its parent, this process, so a signal can't reach a stranger that was given the same number.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import NoReturn

NOT_RUN = 127  # exit status of a process whose program could not be run, as a shell has it


class Children:
    """The registry of living children."""

    def __init__(self) -> None:
        """Begin without children.

        They will start with the limit of open files that holds for this process now, before it raises its own: programs
        that use select() break where a descriptor may be above 1,023, and all that tasks start inherits the limit.
        """
        self._open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._on_exit: dict[int, Callable[[int], None]] = {}

    def __contains__(self, pid: object) -> bool:
        return pid in self._on_exit

    def spawn(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        descriptors: Mapping[int, int],
        on_exit: Callable[[int], None],
    ) -> int:
        """Start a program in a session of its own; return its pid. Raises OSError where there can be no process.

        A program that can't be run ends with NOT_RUN, and says why on stderr.

        descriptors: number in the child for each of ours; beside them only the standard ones are inherited.
        on_exit: called with the exit status, negative for a signal.
        """
        pid = os.fork()
        if pid == 0:
            self._become(arguments, environment, descriptors)
        self._on_exit[pid] = on_exit
        return pid

    def _become(
        self, arguments: Sequence[str], environment: Mapping[str, str], descriptors: Mapping[int, int]
    ) -> NoReturn:
        """Be the program, in a process that has just been forked.

        Not posix_spawn(3), with which the parent waits until the program is there: a file that can't be read, as on a file
        server that is gone, would stop the daemon.
        """
        try:
            os.setsid()
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                with suppress(OSError):  # those of the C library's own
                    signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(self._open_files, hard), hard))
            for theirs, ours in descriptors.items():
                os.dup2(ours, theirs)
                os.set_inheritable(theirs, True)
            os.execve(arguments[0], list(arguments), environment)  # noqa: S606 - a program by its name, as the plan has it
        except BaseException as error:  # noqa: BLE001 - whatever it is, this process must not go on as a second daemon
            os.write(2, f"{arguments[0]} can't be run: {error}\n".encode(errors="backslashreplace"))
        finally:
            os._exit(NOT_RUN)

    def adopt(self, pid: int, on_exit: Callable[[int], None]) -> bool:
        """Watch a process that was forked for us; False where it is reaped already, not ours, or watched already.

        The pid is what a process beside user code says: it may be any number.
        """
        if pid in self:
            return False
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except (OSError, OverflowError):  # OSError: no child of ours (ECHILD), or no number of a process (EINVAL)
            return False
        self._on_exit[pid] = on_exit
        return True

    def reap(self) -> None:
        """Wait for every child that has ended, unknown ones (orphaned pool children) included; then tell of each exit."""
        with ExitStack() as tell:  # of each, although what one exit causes fails
            for on_exit, status in reversed(self._exits()):
                tell.callback(on_exit, status)

    def _exits(self) -> list[tuple[Callable[[int], None], int]]:
        exits: list[tuple[Callable[[int], None], int]] = []
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return exits
            if ended is None:
                return exits
            on_exit = self._on_exit.pop(ended.si_pid, None)
            if on_exit is not None:
                # What it left behind goes with it; as long as it is not waited for, the group's number is still its own.
                signal_group(ended.si_pid, signal.SIGKILL)
                exits.append((on_exit, ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, ended.si_pid, os.WEXITED | os.WNOHANG)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to one child, where it is still there and may be signalled."""
        if pid in self:
            # PermissionError: it has become another user's (setuid). It can't be reached then; that it is still there shows.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def wake(self, pid: int) -> None:
        """Have a child and its process group run on, where they are stopped: a stopped process goes by no other signal."""
        if pid in self:
            signal_group(pid, signal.SIGCONT)

    def kill(self, pid: int) -> None:
        """Kill a child and its process group, where they are still there."""
        if pid in self:
            self.signal(pid, signal.SIGKILL)  # a child that has just been forked has no group of its own yet
            signal_group(pid, signal.SIGKILL)


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a process group, where there is one."""
    # PermissionError: nobody in it may be signalled, zombies neither (kill(2)).
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
