"""The daemon's looks at its queues, of which their health comes: at what workers have written, and at what the kernel says.

A look costs some 30 µs for each queue. Where all is well the next one comes when the oldest pulse would be too old.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from agent.decide.events import Looked
from agent.decide.health import LONGEST_PAUSE, next_look
from agent.decide.node import Node
from agent.decide.seen import Seen
from agent.decide.view import View, heard, view
from agent.decide.words import EXPLAINED, NOTED, TROUBLES
from agent.guest.scoreboard import IDLE_BEAT, Pulse
from agent.run.logs import Log
from agent.run.timers import Timers
from agent.run.workers import Workers

SOON = 0.2  # seconds from something that happened to the look at what came of it
QUIET = IDLE_BEAT + 0.5  # seconds without a pulse after which the kernel is asked whether a process is stopped

Look = Callable[[], tuple[Mapping[int, Pulse], View]]  # what workers say, by pid, and what is known of brokers


class Looks:
    """Looks when it is time, and says in the log what has become better or worse."""

    def __init__(
        self,
        timers: Timers,
        log: Log,
        workers: Workers,
        node: Callable[[], Node],
        on_looked: Callable[[Looked], None],
    ) -> None:
        """Have looked at nothing; `node` returns what is known of the queues, `on_looked` decides about what was seen."""
        self._timers = timers
        self._log = log
        self._workers = workers
        self._node = node
        self._on_looked = on_looked
        self._known: View | None = None
        self.behind: tuple[str, ...] = ()  # queues whose workers have met a clock that is ahead of this node's

    def soon(self) -> None:
        """Look in a moment."""
        if "look soon" not in self._timers:
            self._timers.after(SOON, "look soon", self._by_time)

    def lately(self) -> tuple[Mapping[int, Pulse], View]:
        """Return what workers say now, and what was known of brokers at the last look. Judges nothing.

        Looks where nobody has yet.
        """
        return self.look() if self._known is None else (self._workers.pulses(), self._known)

    def _by_time(self) -> None:
        self.look()

    def look(self) -> tuple[Mapping[int, Pulse], View]:
        """Look at all queues, and have it decided what to do; return what workers say, by pid, and what is known of brokers."""
        self._timers.cancel("look soon")
        self._timers.after(LONGEST_PAUSE, "look", self._by_time)  # also where the agent fails at this one
        before, pulses = self._node(), self._workers.pulses()
        known = self._known = view(before, pulses, time.monotonic())
        seen = {}
        for name, queue in before.queues.items():
            pid = queue.current.pid
            pulse = None if pid is None else pulses.get(pid)
            is_stopped = pid is not None and pulse is not None and _is_stopped(pid, pulse)
            seen[name] = Seen(pulse, known.backlog(name), is_stopped, known.broker(name))
        self.behind = tuple(name for name, each in seen.items() if each.pulse is not None and each.pulse.clock)
        self._on_looked(Looked(seen, known.own, heard(before.watch, pulses)))
        after = self._node()
        self._tell(before, after)
        now = time.monotonic()
        serving = [each.pulse for each in seen.values() if each.pulse is not None]
        self._timers.after(next_look(serving, after.health.values(), known.until, now) - now, "look", self._by_time)
        return pulses, known

    def _tell(self, before: Node, after: Node) -> None:
        for name, health in after.health.items():
            known = before.health[name].verdict if name in before.health else None
            word, was = health.verdict.word, known and known.word
            is_other = word in EXPLAINED and health.verdict.cause and health.verdict.head != (known and known.head)
            if not is_other and (word is was or not NOTED.intersection((word, was))):
                continue
            say = self._log.trouble if word in TROUBLES else self._log.fact
            say("health", queue=name, health=word.value, was=was and was.value, cause=health.verdict.cause or None)


def _is_stopped(pid: int, pulse: Pulse) -> bool:
    """Say whether a process that has not beaten for a while is stopped; one that the kernel tells nothing of is not."""
    if time.monotonic() - pulse.at < QUIET:
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # a path and a decoder take longer than all of it
            said = file.read(1_024)  # the state stands behind the name, which has 16 bytes at most
    except OSError:
        return False
    return said.rpartition(b")")[2][:3] == b" T "
