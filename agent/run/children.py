"""The daemon's children: who they are, who waits for them, how they are signalled.

A pid is signalled only while it is in the registry, and leaves the registry when it is reaped; in between the kernel keeps
it for its parent, this process, so a signal can't reach a stranger that was given the same number.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence


class Children:
    """The registry of living children."""

    def __init__(self) -> None:
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
        """Start a program in a session of its own; return its pid. Raises OSError where it can't be started.

        descriptors: number in the child for each of ours; beside them only the standard ones are inherited.
        on_exit: called with the exit status, negative for a signal.
        """
        actions = [(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in descriptors.items()]
        pid = os.posix_spawn(
            arguments[0],
            list(arguments),
            environment,
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE],
        )
        self._on_exit[pid] = on_exit
        return pid

    def adopt(self, pid: int, on_exit: Callable[[int], None]) -> bool:
        """Watch a process that was forked for us; False where it has been reaped already, or is not ours."""
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        self._on_exit[pid] = on_exit
        return True

    def reap(self) -> None:
        """Wait for every child that has ended, unknown ones (orphaned pool children) included."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            on_exit = self._on_exit.pop(pid, None)
            if on_exit is not None:
                # What it left behind goes with it; as long as it is not waited for, the group's number is still its own.
                signal_group(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if on_exit is not None:
                on_exit(os.waitstatus_to_exitcode(status))

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to one child, where it is still there."""
        if pid in self:
            os.kill(pid, number)

    def kill(self, pid: int) -> None:
        """Kill a child and its process group, where they are still there."""
        if pid in self:
            os.kill(pid, signal.SIGKILL)  # a child that has just been forked has no group of its own yet
            signal_group(pid, signal.SIGKILL)


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a process group, where there is one."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):  # PermissionError: nobody but zombies is in it (EPERM, kill(2))
        pass
