"""The processes of the workers: does what was decided about them, and tells what happens to them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection

from agent.decide.endings import exit_text
from agent.decide.events import (
    Action,
    Connecting,
    Consuming,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    Happened,
    Limit,
    OutOfMemory,
    Shutdown,
    Stop,
    Unheard,
)
from agent.decide.limits import RLIMIT, Enforcement
from agent.decide.worker_state import State, Worker
from agent.guest.descendants import with_descendants
from agent.guest.messages import Answer
from agent.guest.scoreboard import Pulse
from agent.guest.spec import Limits, TemplateSpec
from agent.run import rlimits
from agent.run.cgroups import Cgroups
from agent.run.children import Children
from agent.run.forkserver import ForkServer
from agent.run.links import Links
from agent.run.logs import Log
from agent.run.loop import Loop
from agent.run.metrics import Metrics, Samples

SIGNALS = {Shutdown.WARM: signal.SIGTERM, Shutdown.COLD: signal.SIGQUIT}


class Workers:
    """What a node's workers consist of: processes, the template they come from, links to them, cgroups."""

    def __init__(
        self,
        loop: Loop,
        children: Children,
        log: Log,
        find: Callable[[str, int], Worker | None],
        on_event: Callable[[Happened], None],
    ) -> None:
        """Have none yet.

        find: returns what is known of the worker of a queue and generation. on_event: told what happens to one.
        """
        self._loop = loop
        self._children = children
        self._log = log
        self._find = find
        self._on_event = on_event
        self._cgroups = Cgroups(loop.selector, loop.timers, self._ran_out_of_memory)
        self._links = Links(loop.selector, loop.timers, self._cgroups, log, self._reported)
        self._forkserver = ForkServer(children, loop.selector, loop.timers, log, self._answered)
        self._metrics = Metrics(children, loop.selector, loop.timers, log)

    def divide_cgroup(self) -> Enforcement:
        """Divide the service's cgroup where it may be; return what enforces limits on this node."""
        return self._cgroups.divide()

    def use(self, template: TemplateSpec) -> None:
        """Fork from a template of this spec from now on."""
        self._forkserver.use(template)

    def carry_out(self, action: Action) -> None:
        """Do what was decided; what comes of it is told as an event."""
        match action:
            case Fork():
                self._fork(action)
            case Stop(queue, pid, how):
                self._log.fact("worker-stop", queue=queue, pid=pid, how=how.name.lower())
                if how is Shutdown.KILL:
                    self._children.kill(pid)
                else:
                    self._children.signal(pid, SIGNALS[how])
            case Limit(queue, generation, pid, limits):
                self._limit(queue, generation, pid, limits)

    def reap(self) -> None:
        """Wait for every child that has ended."""
        with self._loop.contained("template"):  # whatever is wrong with it, who has ended must be waited for
            self._forkserver.read()  # a worker that ended at once must be known before it is waited for
        self._children.reap()
        self._cgroups.sweep()

    def close(self) -> None:
        """End the template and what measures; the workers live on."""
        self._forkserver.close()
        self._metrics.close()

    def pulse(self, queue: str, generation: int) -> Pulse | None:
        """Return what a worker last said of itself."""
        return self._links.pulse(queue, generation)

    def measure(self, pids: Collection[int], on_samples: Callable[[Samples], None]) -> None:
        """Have a function called with what these processes use, by pid, once that is known or has taken too long."""
        self._metrics.ask(pids, on_samples)

    def _fork(self, fork: Fork) -> None:
        queue, generation = fork.spec.queue, fork.generation
        try:
            ends = self._links.open(queue, generation, fork.spec.limits)
        except OSError as error:  # no descriptors or no memory left: that may pass, as what makes a worker die may
            failed = Answer(queue, generation, ForkFailed(str(error)))
            self._loop.timers.after(0, f"fork {queue} {generation}", lambda: self._answered(failed))
            return
        for given_up in self._forkserver.request(fork, ends):
            self._links.close(given_up.spec.queue, given_up.generation)

    def _answered(self, answer: Answer) -> None:
        queue, generation, outcome = answer.queue, answer.generation, answer.outcome
        if isinstance(outcome, Forked):
            self._log.fact("worker-forked", queue=queue, generation=generation, pid=outcome.pid)
            if not self._children.adopt(outcome.pid, lambda status: self._exited(queue, generation, status)):
                outcome = ForkFailed("it ended at once")
        else:
            self._log.trouble("fork-failed", queue=queue, generation=generation, reason=outcome.reason)
        if isinstance(outcome, ForkFailed):
            self._links.close(queue, generation)
        self._on_event(Happened(queue, generation, outcome))
        worker = self._find(queue, generation)
        if worker is not None and worker.spec.limits.memory_max is not None:
            self._limit_memory(worker.pid, worker.spec.limits)

    def _reported(self, queue: str, generation: int, report: Connecting | Consuming | Unheard) -> None:
        self._forkserver.read()  # the template told of the worker before it let it run
        worker = self._find(queue, generation)
        if isinstance(report, Consuming) and worker is not None and worker.state is not State.CONSUMING:
            self._log.fact("worker-consuming", queue=queue, generation=generation)
        if isinstance(report, Unheard):
            self._log.trouble("worker-unheard", queue=queue, generation=generation)
        self._on_event(Happened(queue, generation, report))

    def _exited(self, queue: str, generation: int, exit_status: int) -> None:
        pulse = self._links.pulse(queue, generation)
        running = "" if pulse is None else ",".join(f"{task.name}[{task.id}]" for task in pulse.active)
        worker = self._find(queue, generation)
        say = self._log.fact if worker is not None and worker.state is State.STOPPING else self._log.trouble
        words = exit_text(exit_status)
        say("worker-exited", queue=queue, generation=generation, status=words, running=running or None)
        self._links.close(queue, generation)
        self._on_event(Happened(queue, generation, Exited(exit_status)))

    def _ran_out_of_memory(self, queue: str, generation: int, event: OutOfMemory) -> None:
        values = {"queue": queue, "generation": generation, "killed": event.processes, "limit": event.limit}
        self._log.trouble("out-of-memory", **values)
        self._on_event(Happened(queue, generation, event))

    def _limit(self, queue: str, generation: int, pid: int | None, limits: Limits) -> None:
        given = {name: getattr(limits, name) for name in limits.__slots__}
        self._log.fact("worker-limits", queue=queue, generation=generation, **given)
        try:
            self._cgroups.limit(queue, generation, limits)
        except OSError as error:  # the kernel may refuse a limit, as one below what can't be taken back
            self._log.trouble("limits-refused", queue=queue, generation=generation, reason=error)
        self._limit_memory(pid, limits)

    def _limit_memory(self, pid: int | None, limits: Limits) -> None:
        """Hold a worker's processes to the memory limit one by one, where no cgroup holds them together."""
        if pid is not None and self._cgroups.enforcement.memory == RLIMIT:
            rlimits.limit_memory(with_descendants(pid), limits.memory_max)
