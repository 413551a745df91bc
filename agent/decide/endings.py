"""How processes of a queue ended without having been told to, and why."""

from __future__ import annotations

from dataclasses import dataclass

from agent.decide.events import OutOfMemory

OOM_SEQUEL = 5.0  # seconds; the kernel tells of the kill first, and then takes the process's memory apart
MIB = 1_048_576

_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    6: "SIGABRT",
    7: "SIGBUS",
    9: "SIGKILL",
    11: "SIGSEGV",
    15: "SIGTERM",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process of a queue ended.

    status: exit status of a worker's main process, see `agent.decide.events.Exited`; None where only pool children were killed
        and the worker lives on.
    """

    status: int | None
    out_of_memory: OutOfMemory | None = None


@dataclass(frozen=True, slots=True)
class Shortage:
    """The newest killing of a queue's processes for want of memory: of which generation, when, and what is known of it."""

    generation: int
    at: float
    event: OutOfMemory


def cause(shortage: Shortage | None, generation: int, now: float) -> OutOfMemory | None:
    """Return the want of memory that a worker's end just now comes from, if it does."""
    if shortage is None or shortage.generation != generation or now - shortage.at > OOM_SEQUEL:
        return None
    return shortage.event


def ending_text(ending: Ending) -> str:
    """Return an ending in words."""
    words = "pool process killed" if ending.status is None else exit_text(ending.status)
    if ending.out_of_memory is None:
        return words
    return f"{'killed' if ending.status == -9 else words}: {_shortage_text(ending.out_of_memory)}"


def exit_text(status: int) -> str:
    """Return an exit status, negative for a signal, in words."""
    return f"exit status {status}" if status >= 0 else f"killed by {_SIGNALS.get(-status, f'signal {-status}')}"


def _shortage_text(event: OutOfMemory) -> str:
    limit = "of the service or the node" if event.limit is None else f"memory.max {event.limit / MIB:g} MiB"
    return f"out of memory ({limit})"
