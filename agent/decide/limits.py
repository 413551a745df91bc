"""What holds workers to their limits on this node, and what is to be written where: decided without touching anything.

    limit        file of the worker's cgroup   where that can't be
    -----------  ----------------------------  -------------------------------------------------------------
    memory_max   memory.max                    RLIMIT_DATA of each process: an allocation fails, see setrlimit(2)
    memory_high  memory.high                   nothing
    cpu_weight   cpu.weight                    nothing
    pids_max     pids.max                      nothing: RLIMIT_NPROC counts all processes of a user
    (the kill)   cgroup.kill                   SIGKILL to the process group, which a process can leave

Source: the kernel's cgroup-v2.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.guest.spec import Limits
from agent.guest.values import dataclass

CONTROLLERS = ("cpu", "memory", "pids")
CGROUP = "cgroup"
RLIMIT = "rlimit"
PROCESS_GROUP = "process group"
NOTHING = "nothing"

LONGEST_NAME = 200  # bytes; a folder's name has at most 255, and the generation comes after it
_PLAIN = re.compile(rb"[A-Za-z0-9_-]")

# Each limit with its file, its controller, and what stands there where there is no limit.
_FILES = (
    ("memory_high", "memory.high", "memory", "max"),
    ("memory_max", "memory.max", "memory", "max"),
    ("cpu_weight", "cpu.weight", "cpu", "100"),
    ("pids_max", "pids.max", "pids", "max"),
)


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What enforces what on this node, in the words above.

    kill: CGROUP or PROCESS_GROUP; memory: CGROUP or RLIMIT; cpu, pids: CGROUP or NOTHING.
    reason: why not all of it is done by cgroups; None where it is.
    """

    kill: str
    memory: str
    cpu: str
    pids: str
    reason: str | None

    def by_cgroup(self) -> frozenset[str]:
        """Return the controllers in use."""
        return frozenset(name for name in CONTROLLERS if getattr(self, name) == CGROUP)


def without_cgroup(reason: str) -> Enforcement:
    """Return what is left where the agent has no cgroup of its own."""
    return Enforcement(PROCESS_GROUP, RLIMIT, NOTHING, NOTHING, reason)


def with_cgroup(controllers: Mapping[str, str | None], kill: str) -> Enforcement:
    """Return what is done where the agent has one: each controller with the reason why it isn't there, or None."""
    missing: dict[str, list[str]] = {}
    for name, reason in controllers.items():
        if reason is not None:
            missing.setdefault(reason, []).append(name)
    found = {name: CGROUP for name, reason in controllers.items() if reason is None}
    return Enforcement(
        kill=kill,
        memory=found.get("memory", RLIMIT),
        cpu=found.get("cpu", NOTHING),
        pids=found.get("pids", NOTHING),
        reason="; ".join(f"{', '.join(names)} {reason}" for reason, names in missing.items()) or None,
    )


def contents(limits: Limits, controllers: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return what is to be written into the files of a worker's cgroup."""
    return tuple(
        (file, unlimited if getattr(limits, limit) is None else str(getattr(limits, limit)))
        for limit, file, controller, unlimited in _FILES
        if controller in controllers
    )


def unenforced(limits: Limits, enforcement: Enforcement) -> tuple[str, ...]:
    """Return the settings that are given, and that nothing on this node enforces."""
    given = [(limit, controller) for limit, _, controller, _ in _FILES if getattr(limits, limit) is not None]
    if not given:
        return ()
    done = enforcement.by_cgroup() | ({"memory"} if enforcement.memory == RLIMIT else set())
    return tuple(
        limit.upper()
        for limit, controller in given
        if controller not in done or (limit == "memory_high" and enforcement.memory == RLIMIT)
    )


def group_name(queue: str, generation: int) -> str:
    """Return the folder's name of a worker's cgroup: its queue where that can be one, and its generation."""
    name = "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"%{byte:02X}" for byte in queue.encode())
    if len(name) > LONGEST_NAME:
        import hashlib  # noqa: PLC0415 - few names need it, and OpenSSL comes with it

        name = f"{name[: LONGEST_NAME - 17]}~{hashlib.blake2b(queue.encode(), digest_size=8).hexdigest()}"
    # No file of the kernel's ends in a number, and the agent's own group has none.
    return f"{name}.{generation}"


def memory_events(text: str) -> dict[str, int]:
    """Return the counts in a memory.events file; a line of another form is left out."""
    words = (line.split() for line in text.splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) == 2 and line[1].isdecimal()}
