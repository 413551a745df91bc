"""Cgroups (v2): one for the agent, and one for each process of a worker, below the one that is delegated to the service.

    celery-agent@magic.service/    delegated by systemd (Delegate=)
    ├─ agent/                      daemon, template, planner
    ├─ emails.3/                   the worker of queue emails, generation 3, and whatever it starts
    └─ emails.4/                   its replacement, as long as both are there

Where none is delegated nothing is made, and `Cgroups.enforcement` says why. One for each process, not for each queue:
docs/decisions/0004-a-cgroup-for-each-worker.md.

Sources: systemd's CGROUP_DELEGATION.md, the kernel's cgroup-v2.rst.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, BaseSelector

from agent.decide.endings import out_of_memory
from agent.decide.events import OutOfMemory
from agent.decide.limits import (
    CGROUP,
    CONTROLLERS,
    PROCESS_GROUP,
    Enforcement,
    contents,
    group_name,
    memory_events,
    with_cgroup,
    without_cgroup,
)
from agent.guest.spec import Limits
from agent.run.timers import Timers

AGENT = "agent"
RETRY = 1.0  # seconds until a group that could not be removed is tried again: what is killed takes a moment to go

_OF_A_WORKER = re.compile(r".*\.\d+")


class NotDelegated(Exception):
    """There is no cgroup that the agent may divide; the message says why."""


@dataclass(slots=True)
class Group:
    """The cgroup of one process of a worker; `events` is its memory.events, open, where it has one."""

    path: Path
    limits: Limits
    events: int | None
    seen: dict[str, int] = field(default_factory=dict)

    def kill_in(self, counts: dict[str, int]) -> OutOfMemory | None:
        """Return what memory.events says has been killed since the last kill.

        Since then, and not since the last look: the kernel counts `oom` when a limit is met, and `oom_kill` only later.
        """
        event = out_of_memory(self.seen, counts, self.limits)
        if event is not None:
            self.seen = counts
        return event


class Cgroups:
    """The groups of the workers that are being forked or run."""

    def __init__(
        self, selector: BaseSelector, timers: Timers, on_kill: Callable[[str, int, OutOfMemory], None]
    ) -> None:
        """Make nothing yet; `on_kill` is called with queue, generation and what the kernel has done about too little memory."""
        self.enforcement = without_cgroup("not looked for yet")
        self._selector = selector
        self._timers = timers
        self._on_kill = on_kill
        self._groups: dict[tuple[str, int], Group] = {}
        self._leaving: set[Path] = set()
        self._watch = select.epoll()  # of its own: selectors know of no EPOLLPRI, which a changed memory.events is
        selector.register(self._watch, EVENT_READ, self._look)
        self._top: Path | None = None

    def divide(self) -> Enforcement:
        """Divide the cgroup of this process, where it may be; return what comes of it."""
        try:
            top = delegated()
            self.enforcement = _divide(top)
        except NotDelegated as error:
            self.enforcement = without_cgroup(str(error))
            return self.enforcement
        self._top = top
        # What an agent that was killed has left behind.
        self._leaving = {each for each in _folders(top) if _OF_A_WORKER.fullmatch(each.name)}
        self._kill_and_remove()
        return self.enforcement

    def open(self, queue: str, generation: int, limits: Limits) -> int | None:
        """Make the group of a process to come; return the descriptor that it enters it by, to be closed by the receiver.

        None where there are no groups. Raises OSError, and leaves nothing behind then.
        """
        if self._top is None:
            return None
        path = self._top / group_name(queue, generation)
        path.mkdir(exist_ok=True)
        self._leaving.discard(path)
        group = self._groups[queue, generation] = Group(path, limits, None)
        try:
            _write(group, self.enforcement)
            if "memory" in self.enforcement.by_cgroup():
                group.events = os.open(path / "memory.events", os.O_RDONLY | os.O_CLOEXEC)
                group.seen = _read(group.events)
                self._watch.register(group.events, select.EPOLLPRI)
            return os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            self.close(queue, generation)
            raise

    def limit(self, queue: str, generation: int, limits: Limits) -> None:
        """Hold a process to other limits; raises OSError."""
        group = self._groups.get((queue, generation))
        if group is not None:
            group.limits = limits
            _write(group, self.enforcement)

    def close(self, queue: str, generation: int) -> None:
        """Kill what a process that has ended left behind, and forget its group; tells first what is yet to be told."""
        group = self._groups.pop((queue, generation), None)
        if group is None:
            return
        self._tell((queue, generation), group)
        self._close_events(group)
        self._leaving.add(group.path)
        self._kill_and_remove()

    def sweep(self) -> None:
        """Remove the groups of former processes, as far as nothing is in them any more."""
        for path in list(self._leaving):
            try:
                path.rmdir()
            except FileNotFoundError:
                pass
            except OSError:  # EBUSY: something in it has not ended yet
                continue
            self._leaving.discard(path)
        if self._leaving:
            self._timers.after(RETRY, "cgroups", self._kill_and_remove)

    def _kill_and_remove(self) -> None:
        if self.enforcement.kill == CGROUP:
            for path in self._leaving:
                with suppress(OSError):  # it is gone, or can't be killed as a whole: then it goes with its last process
                    (path / "cgroup.kill").write_text("1")
        self.sweep()

    def _look(self) -> None:
        for (queue, generation), group in list(self._groups.items()):
            self._tell((queue, generation), group)

    def _tell(self, key: tuple[str, int], group: Group) -> None:
        if group.events is None:
            return
        try:
            counts = _read(group.events)
        except OSError:  # ENODEV: somebody has removed the folder. What watches it would be woken for ever.
            self._close_events(group)
            return
        event = group.kill_in(counts)
        if event is not None:
            self._on_kill(*key, event)

    def _close_events(self, group: Group) -> None:
        if group.events is not None:
            with suppress(FileNotFoundError):  # it was not watched yet
                self._watch.unregister(group.events)
            os.close(group.events)
            group.events = None


def delegated() -> Path:
    """Return the cgroup that this process may divide; raises NotDelegated."""
    try:
        own = own_group(_text(Path("/proc/self/cgroup")), _text(Path("/proc/self/mountinfo")))
    except OSError as error:
        raise NotDelegated(f"/proc can't be read: {error}") from error
    if own is None:
        raise NotDelegated("there is no cgroup v2 on this node")
    # An agent that has replaced itself by exec is in its part already.
    for top in (own.parent, own) if own.name == AGENT else (own,):
        if _is_delegated(top):
            return top
    raise NotDelegated(f"{own} is not delegated to it (Delegate= of the unit)")


def own_group(cgroup: str, mountinfo: str) -> Path | None:
    """Return the folder of a process's cgroup by /proc/PID/cgroup and /proc/PID/mountinfo; None without cgroup v2."""
    # Split at what the kernel puts in between, and at nothing else: names have all sorts of signs.
    path = next((line.removeprefix("0::") for line in cgroup.split("\n") if line.startswith("0::")), None)
    if path is None:
        return None
    for line in mountinfo.split("\n"):
        mount, _, kind = line.partition(" - ")
        match mount.split(" "):
            case [_, _, _, escaped_root, escaped_where, *_] if kind.split(" ")[0] == "cgroup2":
                root, where = _unescaped(escaped_root).rstrip("/"), _unescaped(escaped_where)
                if f"{path}/".startswith(f"{root}/"):
                    return Path(where + path[len(root) :])
    return None


def _unescaped(word: str) -> str:
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), word)


def _is_delegated(top: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):  # since systemd 251, and before it (for root's eyes only)
        try:
            if os.getxattr(top, name) == b"1":
                return True
        except OSError:
            continue
    # An older systemd hands it over with its ownership; in a container there is nobody else who divides it.
    if os.geteuid() == 0 and Path("/run/systemd/system").is_dir():
        return False
    try:
        return top.stat().st_uid == os.geteuid() and _text(top / "cgroup.procs").split() == [str(os.getpid())]
    except OSError:
        return False


def _divide(top: Path) -> Enforcement:
    """Move this process into its own part of a cgroup, since no process may be beside groups that have limits."""
    try:
        (top / AGENT).mkdir(exist_ok=True)
        (top / AGENT / "cgroup.procs").write_text("0")
        there = _text(top / "cgroup.controllers").split()
    except OSError as error:
        raise NotDelegated(f"{top} can't be divided: {error.strerror}") from error
    controllers = {each: _enable(top, each) if each in there else "not delegated" for each in CONTROLLERS}
    kill = CGROUP if (top / AGENT / "cgroup.kill").exists() else PROCESS_GROUP  # since Linux 5.14
    return with_cgroup(controllers, kill)


def _enable(top: Path, controller: str) -> str | None:
    try:
        (top / "cgroup.subtree_control").write_text(f"+{controller}")
    except OSError as error:
        return error.strerror
    return None


def _write(group: Group, enforcement: Enforcement) -> None:
    for file, text in contents(group.limits, enforcement.by_cgroup()):
        (group.path / file).write_text(text)


def _folders(top: Path) -> list[Path]:
    try:
        return [each for each in top.iterdir() if each.is_dir()]
    except OSError:  # what is in there is not ours to end then, and harms nobody
        return []


def _text(file: Path) -> str:
    """Return what the kernel says in a file; names in it need not be UTF-8, and may have any sign that ends a line."""
    return os.fsdecode(file.read_bytes())


def _read(events: int) -> dict[str, int]:
    return memory_events(os.fsdecode(os.pread(events, 4096, 0)))
