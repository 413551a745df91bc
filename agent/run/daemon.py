"""The agent itself: one thread, one loop. Facts come in, `agent.decide` decides, this carries it out.

    in    signals, planner, template, workers' reports, exits of children, control socket, clock
    out   fork, signal, kill, answers, sd_notify, log lines

It imports no Celery, no pydantic and no user code, so nothing of theirs can hang it or kill it. What it does wrong itself
at an event of one queue is logged, and that queue begins anew; the others are not touched.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from selectors import EVENT_READ

from agent.control.protocol import Request
from agent.control.server import Connection
from agent.decide import events, lifecycle, supervisor
from agent.decide.events import Action, Adopt, Confused, Drain, Due, Fork, Happened, Looked, NodeEvent, Stalled
from agent.decide.lifecycle import Life, Phase
from agent.decide.node import Node
from agent.decide.plan import Difference, Plan
from agent.decide.rows import Rows
from agent.decide.snapshot import Agent, snapshot, summary, systemd_line
from agent.errors import OK, AgentError
from agent.guest.kernel import become_subreaper
from agent.guest.spec import TemplateSpec
from agent.run.children import Children
from agent.run.counts import CountsFile
from agent.run.links import raise_descriptor_limit
from agent.run.logs import Log
from agent.run.looks import Look, Looks
from agent.run.loop import Loop
from agent.run.metrics import Samples
from agent.run.place import Place
from agent.run.planner_process import DEADLINE, PlannerProcess
from agent.run.reloaders import Reloaders
from agent.run.signals import Meaning, Wakeup
from agent.run.signs import Signs
from agent.run.suspects import SuspectsFile
from agent.run.systemd import Notifier, watchdog_interval
from agent.run.workers import Workers
from agent.version import VERSION

READY_GRACE = 10.0  # seconds after which a start counts as done although the broker is away
FAULT_PAUSE = 1.0  # seconds until a queue begins anew at which the agent failed: it may fail again
STALL = 5.0  # seconds by which the loop may be late before its deadlines are moved


class Daemon:
    """One running instance."""

    def __init__(self, instance: str, env_file: Path, folder: Path, operators: str = "") -> None:
        """Prepare an instance.

        folder: its runtime folder. operators: the group that may ask it beside its own; "" for none.
        """
        self._env_file, self._folder, self._operators = env_file, folder, operators
        self._log = Log(instance)
        self._loop = Loop(self._log)
        self._children = Children()
        self._workers = Workers(self._loop, self._children, self._log, lambda: self._node, self._handle_for)
        self._notifier = Notifier()
        self._signs = Signs(self._notifier, self._loop.timers)
        self._planner: PlannerProcess | None = None
        self._reloaders = Reloaders()
        self._agent = Agent(instance, VERSION, os.getpid(), time.monotonic())
        self._life = Life()
        self._suspects = SuspectsFile(instance, folder, self._log)
        self._counts = CountsFile(instance, folder, self._log)
        self._node = Node(suspects=self._suspects.load())
        self._deadline: float | None = None  # of the node, by the monotonic clock
        self._looks = Looks(self._loop.timers, self._log, self._workers, lambda: self._node, self._handle)
        self._rows = Rows()
        self._reason: AgentError | None = None

    def run(self) -> int:
        """Run until told to stop; return the exit status. Raises ConfigurationError where it can't be started."""
        try:
            return self._run()
        except AgentError as error:
            self._notifier.status(str(error))
            raise

    def _run(self) -> int:
        wakeup = Wakeup()  # first: who sees the socket may send signals, and they end what has no handlers
        place = Place(self._folder, self._loop, self._log, self._on_request, self._operators)
        self._node = replace(self._node, counts=self._counts.take())
        raise_descriptor_limit()
        become_subreaper()
        self._agent = replace(self._agent, enforcement=self._workers.divide_cgroup())
        self._loop.selector.register(wakeup, EVENT_READ, lambda: self._on_signals(wakeup.read()))
        try:
            self._signs.of_life(watchdog_interval(os.environ, os.getpid()))
            self._signs.of_patience()
            self._live(lifecycle.Begin())
            while self._life.phase is not Phase.ENDED:
                self._turn()
            self._counts.leave(self._node.counts)
        finally:
            if self._planner is not None:
                self._planner.close()
            self._workers.close()
            place.close(self._reason)
            self._log.flush()
        if self._reason is not None:
            raise self._reason
        return OK

    def _turn(self) -> None:
        """Wait for the next fact; deal with it and with every deadline that has passed."""
        late = self._loop.wait(self._deadline)
        if late > STALL:
            with self._loop.contained("stall"):
                self._handle(Stalled(late))
        if self._deadline is not None and time.monotonic() >= self._deadline:
            for queue in self._node.due(time.monotonic()):
                self._handle_for(Due(queue))

    # The queues

    def _handle_for(self, event: Happened | Due | Confused) -> None:
        """Handle an event of one queue; where the agent fails at it, have that queue begin anew."""
        try:
            self._handle(event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other queues' workers must not end with it
            self._loop.report(error, type(event).__name__, queue=event.queue)
            with self._loop.contained("begin anew", queue=event.queue):
                self._handle(Confused(event.queue))

    def _handle(self, event: NodeEvent) -> None:
        self._node, actions = supervisor.handle(self._node, event, time.monotonic())
        self._deadline = self._node.next_deadline()
        self._suspects.keep(self._node.suspects)
        for action in actions:
            self._carry_out_for(action)
        if not isinstance(event, events.Inquired):  # by which nothing changes
            self._tell_systemd()
            if not isinstance(event, Looked):
                self._looks.soon()
        if self._node.draining and self._deadline is None:
            # All that is left was told to end by SIGKILL, and does not: then it is systemd's turn.
            self._signs.no_patience()
        if self._node.is_finished():
            self._live(lifecycle.Emptied())

    def _carry_out_for(self, action: Action) -> None:
        """Do something about one queue; where the agent fails at it, have that queue begin anew, and do the rest."""
        queue = action.spec.queue if isinstance(action, Fork) else action.queue
        try:
            self._workers.carry_out(action)
        except Exception as error:  # noqa: BLE001 - the same
            self._loop.report(error, type(action).__name__, queue=queue)
            self._loop.timers.after(FAULT_PAUSE, f"begin anew {queue}", partial(self._handle_for, Confused(queue)))

    # The instance

    def _live(self, event: lifecycle.Event) -> None:
        self._life, actions = lifecycle.step(self._life, event)
        for action in actions:
            self._carry_out(action)

    def _carry_out(self, action: lifecycle.Action) -> None:
        match action:
            case lifecycle.ReadConfiguration():
                self._read_configuration()
            case lifecycle.Host(plan, change):
                self._host(plan, change)
            case lifecycle.KeepPlan(reason):
                self._log.trouble("reload-refused", reason=reason)
                self._agent = replace(self._agent, reload_error=str(reason))
                self._tell_systemd()
            case lifecycle.Reloading():
                self._notifier.reloading()
            case lifecycle.Reloaded(change):
                self._notifier.reloaded()
                self._reloaders.answer(change)
            case lifecycle.RefuseReload(reason):
                self._notifier.reloaded()
                if self._life.phase is Phase.STOPPING:  # there is no next reading
                    self._reloaders.begin()
                self._reloaders.answer(reason)
            case lifecycle.Ready():
                self._ready()
            case lifecycle.Stopping():
                self._loop.timers.cancel("settled")
                self._notifier.stopping()
                self._signs.of_patience()
            case lifecycle.StopQueues(how):
                self._log.fact("stop", how=how.name.lower())
                with self._loop.contained("look"):
                    self._looks.look()  # who hangs is told in another way
                self._handle(Drain(how))
            case lifecycle.End(reason):
                self._reason = reason

    def _read_configuration(self) -> None:
        timers = self._loop.timers
        self._reloaders.begin()
        try:
            self._planner = PlannerProcess(
                self._agent.instance,
                self._env_file,
                self._children,
                self._loop.selector,
                self._workers.codes.begin(),
                self._on_template_known,
                self._on_planned,
            )
        except Exception as error:  # noqa: BLE001 - a node that is out of processes or memory must not lose what runs already
            failed = AgentError(f"the planner can't be started: {error}")
            timers.after(0, "planning", lambda: self._on_planned(failed))
        else:
            timers.after(DEADLINE, "planning", self._planner.give_up)

    def _on_template_known(self, spec: TemplateSpec) -> None:
        """Warm the template while the planner still imports user code; at the start only, when nothing runs yet."""
        if self._life.phase is Phase.STARTING:
            self._workers.use(spec)

    def _on_planned(self, result: Plan | AgentError) -> None:
        self._planner = None
        self._loop.timers.cancel("planning")
        if isinstance(result, AgentError):
            self._live(lifecycle.Refused(result))
            return
        try:
            self._live(lifecycle.Planned(result, self._workers.difference(self._node.plan, result)))
        except Exception as error:  # noqa: BLE001 - whatever it is, what runs already must not end with it
            self._loop.report(error, "plan")
            self._give_up_plan(AgentError("the agent failed at this plan; its log says where"))

    def _host(self, plan: Plan, change: Difference) -> None:
        self._log.fact("plan", **{name: ",".join(getattr(change, name)) or None for name in change.__slots__})
        if not self._life.ready:
            self._loop.timers.after(READY_GRACE, "settled", lambda: self._live(lifecycle.Settled()))
        self._agent = replace(self._agent, reload_error=None)
        self._workers.adopt(plan, change)
        self._handle(Adopt(plan, change))

    def _give_up_plan(self, reason: AgentError) -> None:
        """Say that a plan has not become what runs; without an earlier one there is nothing to go on with."""
        if self._node.plan is None:
            self._life, self._reason = replace(self._life, phase=Phase.ENDED), reason
        self._carry_out(lifecycle.KeepPlan(reason))
        self._carry_out(lifecycle.RefuseReload(reason))

    # Signals and requests

    def _on_signals(self, meanings: list[Meaning]) -> None:
        for meaning in meanings:
            with self._loop.contained("signal", meaning=meaning.value):  # the one after it must not be lost
                self._on_signal(meaning)

    def _on_signal(self, meaning: Meaning) -> None:
        match meaning:
            case Meaning.STOP | Meaning.STOP_COLD:
                self._live(lifecycle.AskedToStop(cold=meaning is Meaning.STOP_COLD))
            case Meaning.RELOAD:
                self._live(lifecycle.AskedToReload())
            case Meaning.REAP:
                self._workers.reap()

    def _on_request(self, request: Request, connection: Connection) -> None:
        match request:
            case Request.STATUS:
                self._workers.measure(lambda samples: connection.answer(self._status(samples, self._looks.look)))
            case Request.FIGURES:
                self._workers.measure(lambda samples: connection.answer(self._status(samples, self._looks.lately)))
            case Request.HEALTH:
                connection.answer(self._status({}, self._looks.look))
            case Request.RELOAD:
                self._reloaders.add(connection)
                self._live(lifecycle.AskedToReload())

    def _status(self, samples: Samples, look: Look) -> str:
        pulses, seen = look()
        self._handle(events.Inquired())
        return snapshot(self._agent, self._node, pulses, seen, samples, time.monotonic(), self._rows)

    # systemd

    def _tell_systemd(self) -> None:
        self._agent = replace(self._agent, keeping=self._suspects.keeping, behind=self._looks.behind)
        self._notifier.status(systemd_line(self._agent, self._node))
        if "settled" in self._loop.timers and self._node.is_served():
            self._live(lifecycle.Settled())

    def _ready(self) -> None:
        self._loop.timers.cancel("settled")
        self._signs.no_patience()
        self._log.fact("ready", status=summary(self._node))
        self._notifier.ready()
        self._handle(events.Settled())
