"""The agent itself: one thread, one selector. Facts come in, `agent.decide.supervisor` decides, this carries it out.

    in    signals, planner, template, workers' reports, exits of children, control socket, clock
    out   fork, signal, kill, answers, sd_notify, log lines

It imports no Celery, no pydantic and no user code, so nothing of theirs can hang it or kill it.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from dataclasses import replace
from pathlib import Path

from agent.control.protocol import Request, refusal
from agent.control.server import Connection, Server
from agent.decide import status, supervisor
from agent.decide.endings import exit_text
from agent.decide.events import (
    Action,
    Adopt,
    Connecting,
    Consuming,
    Drain,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    Happened,
    Limit,
    NodeEvent,
    OutOfMemory,
    Shutdown,
    Stalled,
    Stop,
    Tick,
)
from agent.decide.limits import RLIMIT
from agent.decide.plan import Plan, difference
from agent.decide.worker_state import State
from agent.errors import OK, AgentError
from agent.guest.kernel import become_subreaper
from agent.guest.messages import Answer
from agent.guest.spec import Limits, TemplateSpec
from agent.run import metrics, rlimits
from agent.run.cgroups import Cgroups
from agent.run.children import Children
from agent.run.forkserver import ForkServer
from agent.run.links import Links, raise_descriptor_limit
from agent.run.lock import hold_lock
from agent.run.logs import Log
from agent.run.planner_process import DEADLINE, Planning
from agent.run.signals import Meaning, Wakeup, harder
from agent.run.systemd import Notifier, watchdog_interval
from agent.run.timers import Timers
from agent.version import VERSION

READY_GRACE = 10.0  # seconds after which a start counts as done although the broker is away
EXTENSION = 1.0  # seconds between two requests for more time to stop
STALL = 5.0  # seconds by which the loop may be late before its deadlines are moved
SIGNALS = {Shutdown.WARM: signal.SIGTERM, Shutdown.COLD: signal.SIGQUIT}


class Daemon:
    """One running instance."""

    def __init__(self, instance: str, env_file: Path, folder: Path) -> None:
        """Prepare an instance; `folder` is its runtime folder, for the lock and the control socket."""
        self._env_file = env_file
        self._folder = folder
        self._log = Log(instance)
        self._node = supervisor.Node()
        self._timers = Timers()
        self._selector = selectors.DefaultSelector()
        self._cgroups = Cgroups(self._selector, self._timers, self._on_memory_kill)
        self._agent = status.Agent(instance, VERSION, os.getpid(), time.monotonic(), self._cgroups.enforcement)
        self._children = Children()
        self._notifier = Notifier()
        self._sampler = metrics.Sampler()
        self._links = Links(self._selector, self._cgroups, self._log, self._on_report)
        self._forkserver = ForkServer(self._children, self._selector, self._timers, self._log, self._on_fork_answer)
        self._planning: Planning | None = None
        self._plan_again = False
        self._reloaders: list[Connection] = []
        self._stopping: Shutdown | None = None
        self._result: int | AgentError | None = None

    def run(self) -> int:
        """Run until told to stop; return the exit status. Raises ConfigurationError where it can't be started."""
        try:
            return self._run()
        except AgentError as error:
            self._notifier.status(str(error))
            raise

    def _run(self) -> int:
        lock = hold_lock(self._folder)
        raise_descriptor_limit()
        become_subreaper()
        self._agent = replace(self._agent, enforcement=self._cgroups.divide())
        wakeup = Wakeup()
        self._selector.register(wakeup, selectors.EVENT_READ, lambda: self._on_signals(wakeup.read()))
        server = Server(self._folder / "control.sock", self._selector, self._on_request)
        try:
            self._feed_watchdog()
            self._extend_timeout()
            self._plan_anew()
            while self._result is None:
                self._turn()
        finally:
            self._forkserver.close()
            server.close()
            os.close(lock)
        if isinstance(self._result, AgentError):
            raise self._result
        return self._result

    # The loop

    def _turn(self) -> None:
        """Wait for the next fact; deal with it and with every deadline that has passed."""
        due = min(
            (when for when in (self._timers.next(), supervisor.next_deadline(self._node)) if when is not None),
            default=None,
        )
        ready = self._selector.select(None if due is None else max(0.0, due - time.monotonic()))
        late = 0.0 if due is None else time.monotonic() - due
        if late > STALL:
            self._handle(Stalled(late))
        for key, _ in ready:
            registered = self._selector.get_map().get(key.fd)
            if registered is not None and registered.data is key.data:  # one before it may have closed it
                key.data()
        self._timers.fire()
        deadline = supervisor.next_deadline(self._node)
        if deadline is not None and time.monotonic() >= deadline:
            self._handle(Tick())

    def _handle(self, event: NodeEvent) -> None:
        self._node, actions = supervisor.handle(self._node, event, time.monotonic())
        for action in actions:
            self._carry_out(action)
        self._tell_systemd()
        if supervisor.is_finished(self._node):
            self._result = OK

    def _carry_out(self, action: Action) -> None:
        match action:
            case Fork():
                self._request_fork(action)
            case Stop(queue, pid, how):
                self._log.fact("worker-stop", queue=queue, pid=pid, how=how.name.lower())
                if how is Shutdown.KILL:
                    self._children.kill(pid)
                else:
                    self._children.signal(pid, SIGNALS[how])
            case Limit(queue, generation, pid, limits):
                self._limit(queue, generation, pid, limits)

    # Workers

    def _request_fork(self, fork: Fork) -> None:
        queue, generation = fork.spec.queue, fork.generation
        try:
            ends = self._links.open(queue, generation, fork.spec.limits)
        except OSError as error:  # no descriptors or no memory left: that may pass, as what makes a worker die may
            failed = Answer(queue, generation, ForkFailed(str(error)))
            self._timers.after(0, f"fork {queue} {generation}", lambda: self._on_fork_answer(failed))
            return
        for given_up in self._forkserver.request(fork, ends):
            self._links.close(given_up.spec.queue, given_up.generation)

    def _on_fork_answer(self, answer: Answer) -> None:
        queue, generation = answer.queue, answer.generation
        match answer.outcome:
            case Forked(pid):
                self._log.fact("worker-forked", queue=queue, generation=generation, pid=pid)
                is_child = self._children.adopt(pid, lambda status: self._on_worker_exit(queue, generation, status))
                self._handle(Happened(queue, generation, Forked(pid) if is_child else ForkFailed()))
                worker = self._node.worker(queue, generation)
                if worker is not None and worker.spec.limits.memory_max is not None:
                    self._limit_memory(worker.pid, worker.spec.limits)
            case ForkFailed(reason):
                self._log.trouble("fork-failed", queue=queue, generation=generation, reason=reason)
                self._links.close(queue, generation)
                self._handle(Happened(queue, generation, answer.outcome))

    def _on_report(self, queue: str, generation: int, report: Connecting | Consuming) -> None:
        self._forkserver.read()  # the template told of the worker before it let it run
        if isinstance(report, Consuming):
            self._log.fact("worker-consuming", queue=queue, generation=generation)
        self._handle(Happened(queue, generation, report))

    def _on_worker_exit(self, queue: str, generation: int, exit_status: int) -> None:
        pulse = self._links.pulse(queue, generation)
        running = "" if pulse is None else ",".join(f"{task.name}[{task.id}]" for task in pulse.active)
        words = exit_text(exit_status)
        worker = self._node.worker(queue, generation)
        say = self._log.fact if worker is not None and worker.state is State.STOPPING else self._log.trouble
        say("worker-exited", queue=queue, generation=generation, status=words, running=running or None)
        self._links.close(queue, generation)
        self._handle(Happened(queue, generation, Exited(exit_status)))

    def _on_memory_kill(self, queue: str, generation: int, event: OutOfMemory) -> None:
        self._log.trouble(
            "out-of-memory", queue=queue, generation=generation, killed=event.processes, limit=event.limit
        )
        self._handle(Happened(queue, generation, event))

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
            rlimits.limit_memory(metrics.with_descendants(pid), limits.memory_max)

    # Signals and requests

    def _on_signals(self, meanings: list[Meaning]) -> None:
        for meaning in meanings:
            match meaning:
                case Meaning.STOP | Meaning.STOP_COLD:
                    self._stop(harder(meaning, self._stopping))
                case Meaning.RELOAD:
                    self._plan_anew()
                case Meaning.REAP:
                    self._forkserver.read()  # a worker that ended at once must be known before it is waited for
                    self._children.reap()
                    self._cgroups.sweep()

    def _stop(self, how: Shutdown) -> None:
        self._log.fact("stop", how=how.name.lower())
        if self._stopping is None:
            self._timers.cancel("ready")
            self._notifier.stopping()
            self._extend_timeout()
        self._stopping = how
        self._handle(Drain(how))

    def _extend_timeout(self) -> None:
        # Reading the configuration and draining take as long as their own deadlines say; systemd's need not be longer.
        self._notifier.extend_timeout(10 * EXTENSION)
        self._timers.after(EXTENSION, "extend timeout", self._extend_timeout)

    def _on_request(self, request: Request, connection: Connection) -> None:
        match request:
            case Request.STATUS:
                connection.answer(self._status())
            case Request.RELOAD:
                self._reloaders.append(connection)
                self._plan_anew()

    def _status(self) -> status.Status:
        pulses = {}
        for worker in self._node.workers():
            if worker.pid is not None:
                pulses[worker.pid] = self._links.pulse(worker.spec.queue, worker.generation)
        return status.snapshot(
            self._agent,
            self._node,
            {pid: pulse for pid, pulse in pulses.items() if pulse is not None},
            self._sampler.sample(self._agent.pid, pulses),
            time.monotonic(),
        )

    # Plans

    def _plan_anew(self) -> None:
        if self._stopping is not None:
            self._answer_reloaders(AgentError("the agent is stopping"))
        elif self._planning is not None:
            self._plan_again = True  # the file may have changed after the planner read it
        else:
            self._plan_again = False
            self._notifier.reloading()
            try:
                self._planning = Planning(
                    self._agent.instance,
                    self._env_file,
                    self._children,
                    self._selector,
                    self._on_template_known,
                    self._on_planned,
                )
            except OSError as error:  # a node that is out of processes or memory must not lose what runs already
                self._on_planned(AgentError(f"the planner can't be started: {error}"))
                return
            self._timers.after(DEADLINE, "planning", self._planning.give_up)

    def _on_template_known(self, spec: TemplateSpec) -> None:
        """Warm the template while the planner still imports user code; at the start only, when nothing runs yet."""
        if self._node.plan is None and self._stopping is None:
            self._forkserver.use(spec)

    def _on_planned(self, result: Plan | AgentError) -> None:
        self._planning = None
        self._timers.cancel("planning")
        if self._stopping is not None:
            self._answer_reloaders(AgentError("the agent is stopping"))
        elif self._plan_again:
            self._plan_anew()
        elif isinstance(result, Plan):
            self._adopt(result)
        elif self._node.plan is None:
            self._result = result
        else:
            self._log.trouble("reload-refused", reason=result)
            self._agent = replace(self._agent, reload_error=str(result))
            self._tell_systemd()
            self._notifier.reloaded()
            self._answer_reloaders(result)

    def _adopt(self, plan: Plan) -> None:
        before = self._node.plan
        change = difference(before or replace(plan, workers=()), plan)
        self._log.fact("plan", **{name: ",".join(getattr(change, name)) or None for name in change.__slots__})
        if before is None:
            self._timers.after(READY_GRACE, "ready", self._ready)
        self._agent = replace(self._agent, reload_error=None)
        self._forkserver.use(plan.template)
        self._handle(Adopt(plan))
        self._notifier.reloaded()
        for connection in self._reloaders:
            connection.answer(change)
        self._reloaders.clear()

    def _answer_reloaders(self, error: AgentError) -> None:
        for connection in self._reloaders:
            connection.answer(refusal(error))
        self._reloaders.clear()

    # systemd

    def _feed_watchdog(self) -> None:
        interval = watchdog_interval(os.environ, os.getpid())
        if interval is not None:
            self._notifier.alive()
            self._timers.after(interval, "watchdog", self._feed_watchdog)

    def _tell_systemd(self) -> None:
        refused = self._agent.reload_error
        self._notifier.status(
            status.summary(self._node) + ("" if refused is None else f"; last reload refused: {refused}")
        )
        workers = [queue.current for queue in self._node.queues.values()]
        if "ready" in self._timers and all(worker.state is State.CONSUMING for worker in workers):
            self._ready()

    def _ready(self) -> None:
        self._timers.cancel("ready")
        self._timers.cancel("extend timeout")
        self._log.fact("ready", status=status.summary(self._node))
        self._notifier.ready()
