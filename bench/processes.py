"""What the processes of a run cost, read from /proc; found by the marker in their environment, wherever they went."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from tests.leftovers import marked
from tests.node import children

TICKS = os.sysconf("SC_CLK_TCK")
_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of the kernel's posix-timers.h


def spent(marker: str) -> float:
    """Return the CPU seconds of a run's processes, and of all that this process has reaped since it started.

    The difference of two readings is what a run cost between them: this process is a child subreaper, so whatever ended
    has been reaped by its parent, whose own figures hold it, or is reaped here.
    """
    reap()
    return reaped() + sum(cpu(pid) for pid in marked(marker))


def reaped() -> float:
    """Return the CPU seconds of all children that this process has waited for, and of those that they did."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def family() -> list[int]:
    """Return the pids of this process's descendants: the broker, and everything of a run."""
    found = [os.getpid()]
    for pid in found:
        try:
            found += children(pid)
        except OSError:  # it ended meanwhile
            continue
    return found[1:]


def reap() -> None:
    """Wait for the children that have ended, orphans of a run among them."""
    for pid in children(os.getpid()):
        if state(pid) == "Z":
            os.waitpid(pid, 0)


def cpu(pid: int) -> float:
    """Return seconds of CPU that a process and the children it waited for have used."""
    waited_for = sum(int(field) for field in _stat(pid)[13:15]) / TICKS
    return running(pid) + waited_for


def running(pid: int) -> float:
    """Return seconds of CPU that a process itself has used, to a nanosecond; 0 where it is gone.

    Not from its stat file, which leaves out up to two ticks of 10 ms: half of what a forked worker needs for its start.
    """
    try:
        return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)  # what clock_getcpuclockid(3) returns
    except OSError:
        return 0.0


def wakeups(pids: Iterable[int]) -> int:
    """Return how often the threads of processes were switched away from, of their own will or not."""
    files = (path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/status"))
    lines = (line for path in files for line in _read(path).splitlines())
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def pss(pids: Iterable[int]) -> float:
    """Return megabytes of memory (PSS) of processes together."""
    total = 0
    for pid in pids:
        lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def command_line(pid: int) -> list[str]:
    """Return a process's arguments, none where it is gone."""
    return _read(f"/proc/{pid}/cmdline").split("\0")[:-1]


def name(pid: int) -> str:
    """Return the name that the kernel has for a process, 15 characters of it."""
    return _read(f"/proc/{pid}/comm").strip()


def parent(pid: int) -> int:
    """Return a process's parent, 0 where it is gone."""
    return int((_stat(pid) or ["", "0"])[1])


def state(pid: int) -> str:
    """Return the kernel's letter for what a process does, "" where it is gone."""
    return (_stat(pid) or [""])[0]


def _stat(pid: int) -> list[str]:
    """Return the fields of proc_pid_stat(5) from the third on, none where the process is gone."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it ended meanwhile
        return ""
