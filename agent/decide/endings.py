"""How processes of a queue ended without having been told to, and why."""

from __future__ import annotations

from collections.abc import Mapping

from agent.decide.events import Exited, OutOfMemory
from agent.guest.scoreboard import ENDS, LONGEST_WORDS, Pulse
from agent.guest.spec import Limits
from agent.guest.values import dataclass

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
    replaced: why the agent has replaced it; empty where it has not.
    words: what has ended it, in its own words; empty where it left none.
    """

    status: int | None
    out_of_memory: OutOfMemory | None = None
    replaced: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Shortage:
    """The newest killing of a queue's processes for want of memory: of which generation, when, and what is known of it."""

    generation: int
    at: float
    event: OutOfMemory


def out_of_memory(before: Mapping[str, int], after: Mapping[str, int], limits: Limits) -> OutOfMemory | None:
    """Return what two readings of a worker's memory.events say happened between them."""
    killed = after.get("oom_kill", 0) - before.get("oom_kill", 0)
    if killed <= 0:
        return None
    # `oom` counts where the limit is that was run into, `oom_kill` where the killed process is.
    own = after.get("oom", 0) > before.get("oom", 0)
    return OutOfMemory(killed, limits.memory_max if own else None)


def cause(shortage: Shortage | None, generation: int, now: float) -> OutOfMemory | None:
    """Return the want of memory that a worker's end just now comes from, if it does."""
    if shortage is None or shortage.generation != generation or now - shortage.at > OOM_SEQUEL:
        return None
    return shortage.event


def last_words(pulse: Pulse | None) -> str:
    """Return what a process has left as the cause of its end, one printable line; user code may have written it."""
    if pulse is None or not pulse.obstacle.startswith(ENDS):
        return ""
    printable = (each if each.isprintable() else " " for each in pulse.obstacle.removeprefix(ENDS))
    return " ".join("".join(printable).split())[:LONGEST_WORDS]


def ended_by(event: Exited, out_of_memory: OutOfMemory | None, replaced: str) -> Ending:
    """Return how a worker's process ended, with its last words."""
    return Ending(event.status, out_of_memory, replaced, last_words(event.pulse))


def ending_text(ending: Ending) -> str:
    """Return an ending in words."""
    if ending.replaced:
        return f"replaced by the agent: {ending.replaced}"
    words = "pool process killed" if ending.status is None else exit_text(ending.status)
    if ending.out_of_memory is None:
        return f"{words}: {ending.words}" if ending.words else words
    return f"{'killed' if ending.status == -9 else words}: {_shortage_text(ending.out_of_memory)}"


def exit_text(status: int) -> str:
    """Return an exit status, negative for a signal, in words."""
    return f"exit status {status}" if status >= 0 else f"killed by {_SIGNALS.get(-status, f'signal {-status}')}"


def _shortage_text(event: OutOfMemory) -> str:
    limit = "of the service or the node" if event.limit is None else f"memory.max {event.limit / MIB:g} MiB"
    return f"out of memory ({limit})"
