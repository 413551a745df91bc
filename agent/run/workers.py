"""The processes of the workers: does what was decided about them, and tells what happens to them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace

from agent.decide.endings import exit_text, last_words
from agent.decide.events import (
    Action,
    Ask,
    Consuming,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    Grown,
    Happened,
    Limit,
    OutOfMemory,
    ShowStacks,
    Shutdown,
    Stop,
    Unheard,
    Watched,
)
from agent.decide.limits import RLIMIT, Enforcement
from agent.decide.node import Node
from agent.decide.plan import Difference, Plan, difference
from agent.decide.view import account
from agent.decide.words import State
from agent.guest.descendants import with_descendants
from agent.guest.kernel import SHOW_STACKS
from agent.guest.messages import Answer, Seen
from agent.guest.scoreboard import Pulse
from agent.guest.spec import Limits, TemplateSpec
from agent.run import rlimits
from agent.run.cgroups import Cgroups
from agent.run.children import Children
from agent.run.codes import Codes
from agent.run.forkserver import ForkServer
from agent.run.links import Links, Report
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
        node: Callable[[], Node],
        on_event: Callable[[Happened], None],
    ) -> None:
        """Have none yet.

        node: returns what is known of the queues. on_event: told what happens to a worker.
        """
        self._loop = loop
        self._children = children
        self._log = log
        self._node = node
        self._on_event = on_event
        self._cgroups = Cgroups(loop.selector, loop.timers, self._ran_out_of_memory)
        self._links = Links(loop.selector, loop.timers, self._cgroups, log, self._reported)
        self._forkserver = ForkServer(children, loop.selector, loop.timers, log, self._answered)
        self.codes = Codes()
        self._metrics = Metrics(children, loop.selector, loop.timers, log)

    def divide_cgroup(self) -> Enforcement:
        """Divide the service's cgroup where it may be; return what enforces limits on this node."""
        return self._cgroups.divide()

    def use(self, template: TemplateSpec) -> None:
        """Fork from a template of this spec from now on."""
        self._forkserver.use(template)

    def difference(self, old: Plan | None, new: Plan) -> Difference:
        """Compare two plans, and what runs with the code that the new one was made from."""
        change = difference(old, new)
        return replace(change, outdated=tuple(self.codes.newer(new, change)))

    def adopt(self, plan: Plan, change: Difference) -> None:
        """Fork by a plan from now on."""
        if change.outdated:
            files = sorted({file for files in self.codes.newer(plan, change).values() for file in files})
            self._log.trouble("code-newer", queues=",".join(change.outdated), files=",".join(files))
        self.use(plan.template)
        self.codes.adopt(plan, change)

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
                    self._children.wake(pid)
            case ShowStacks(queue, pid, reason):
                self._log.trouble("worker-replaced", queue=queue, pid=pid, reason=reason)
                self._children.signal(pid, SHOW_STACKS)
            case Limit(queue, generation, pid, limits):
                self._limit(queue, generation, pid, limits)
            case Ask(queue, generation):
                self._links.ask(queue, generation)

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
        self.codes.close()

    def pulses(self) -> dict[int, Pulse]:
        """Return what each worker, and the watcher, last said of itself, by pid."""
        found = ((each.pid, self._links.pulse(each.spec.queue, each.generation)) for each in self._node().processes())
        return {pid: pulse for pid, pulse in found if pid is not None and pulse is not None}

    def measure(self, on_samples: Callable[[Samples], None]) -> None:
        """Have a function called with what workers and agent use, by pid, once that is known or has taken too long."""
        pids = [worker.pid for worker in self._node().workers() if worker.pid is not None]
        self._metrics.ask([os.getpid(), *pids], on_samples)

    def _fork(self, fork: Fork) -> None:
        queue, generation = fork.spec.queue, fork.generation
        try:
            watched = fork.spec.watch
            code = self.codes.of(queue if watched is None else watched.apps[0].queues[0])
            ends = self._links.open(queue, generation, fork.spec.limits, code)
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
        worker = self._node().worker(queue, generation)
        if worker is not None and worker.spec.limits.memory_max is not None:
            self._limit_memory(worker.pid, worker.spec.limits)

    def _reported(self, queue: str, generation: int, report: Report) -> None:
        self._forkserver.read()  # the template told of the worker before it let it run
        if isinstance(report, Seen):
            self._seen(queue, generation, report)
            return
        worker = self._node().worker(queue, generation)
        if isinstance(report, Consuming) and worker is not None and worker.state is not State.CONSUMING:
            self._log.fact("worker-consuming", queue=queue, generation=generation)
        if isinstance(report, Unheard):
            self._log.trouble("worker-unheard", queue=queue, generation=generation)
        if isinstance(report, Grown):
            self._log.trouble("worker-grown", queue=queue, generation=generation, memory=report.memory)
        self._on_event(Happened(queue, generation, report))

    def _seen(self, queue: str, generation: int, seen: Seen) -> None:
        node = self._node()
        if node.watch is None or node.watch.name != queue:  # code in a worker says so
            self._log.trouble("report-not-understood", queue=queue, generation=generation, reason="it is no watcher")
            return
        for reach, lasts in ((each.reach, each.lasts) for each in seen.news):
            if reach.reason:
                values = {"broker": reach.broker, "reason": reach.reason, "text": reach.text, "seconds": lasts or None}
                self._log.trouble("broker-not-reached", **values)
            else:
                self._log.fact("broker-reached", broker=reach.broker, seconds=lasts or None)
        self._on_event(Happened(queue, generation, Watched(seen.sights, account(node, self.pulses()))))

    def _exited(self, queue: str, generation: int, exit_status: int) -> None:
        pulse = self._links.pulse(queue, generation)
        active = () if pulse is None else pulse.active
        running = ",".join(f"{task.name}[{task.id}]" for task in active)
        unnamed = 0 if pulse is None else pulse.active_count - len(active)
        worker = self._node().worker(queue, generation)
        say = self._log.fact if worker is not None and worker.state is State.STOPPING else self._log.trouble
        words = exit_text(exit_status)
        say(
            "worker-exited",
            queue=queue,
            generation=generation,
            status=words,
            reason=last_words(pulse) or None,
            running=running or None,
            unnamed=unnamed or None,
        )
        self._links.close(queue, generation)
        self._on_event(Happened(queue, generation, Exited(exit_status, tuple(task.id for task in active), pulse)))

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
