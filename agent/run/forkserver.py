"""What workers are forked by: keeps one template process alive, asks it for forks, replaces it when it fails."""

from __future__ import annotations

from collections.abc import Callable
from selectors import BaseSelector

from agent.decide import backoff
from agent.decide.endings import exit_text
from agent.errors import CONFIGURATION
from agent.guest.messages import Answer, Fork, ForkFailed, Prepared
from agent.guest.spec import TemplateSpec
from agent.run.children import NOT_RUN, Children
from agent.run.links import Ends
from agent.run.logs import Log
from agent.run.template_process import Request, TemplateProcess
from agent.run.timers import Timers

TIMER = "template"
# Seconds until the template is prepared. It imports what the planner has imported too, and the planner is not given more.
PREPARE_DEADLINE = 300.0
# Seconds from one answer to the next while there are forks to be made, and from the last word to the exit. Each takes
# milliseconds; on a node that is short of memory it may take seconds.
ANSWER_DEADLINE = 15.0


class ForkServer:
    """Whatever template there is: requests wait while there is none, and one that fails is replaced.

    A template fails where it ends, says what makes no sense, or keeps silent for too long. The forks that it was asked for
    fail with it. Those that still wait are kept for the next one, unless it never came so far as to be prepared: then they
    fail too, so that the queues can say why they have no worker.
    """

    def __init__(
        self,
        children: Children,
        selector: BaseSelector,
        timers: Timers,
        log: Log,
        on_answer: Callable[[Answer], None],
        prepare_deadline: float = PREPARE_DEADLINE,
        answer_deadline: float = ANSWER_DEADLINE,
    ) -> None:
        """Start without a template; `on_answer` is called once for each request that is neither given up nor closed."""
        self._children = children
        self._selector = selector
        self._timers = timers
        self._log = log
        self._on_answer = on_answer
        self._prepare_deadline = prepare_deadline
        self._answer_deadline = answer_deadline
        self._template: TemplateProcess | None = None
        self._waiting: list[Request] = []
        self._failures = 0

    def use(self, spec: TemplateSpec) -> None:
        """Fork from a template of this spec from now on; the present one stays where it is of the same."""
        if self._template is not None:
            if self._template.spec == spec:
                return
            self._fail(self._drop(self._template), "the template is replaced")
        self._start(spec)

    def request(self, fork: Fork, ends: Ends) -> list[Fork]:
        """Have a worker forked, as soon as there is a template that can; return what waited and is given up for it."""
        given_up = [each for each in self._waiting if each.fork.spec.queue == fork.spec.queue]
        for each in given_up:
            self._waiting.remove(each)
            each.ends.close()
        self._waiting.append(Request(fork, ends))
        self._send_waiting()
        return [each.fork for each in given_up]

    def read(self) -> None:
        """Take in what the template has said; one that can't be understood is replaced."""
        if self._template is not None:
            self._read(self._template)

    def close(self) -> None:
        """Kill the template and give up what waits; the workers live on."""
        self._take_waiting()
        self._timers.cancel(TIMER)
        if self._template is not None:
            self._template.close()
            self._children.kill(self._template.pid)
            self._template = None

    # One template after the other

    def _start(self, spec: TemplateSpec) -> None:
        self._timers.cancel(TIMER)
        try:
            template = TemplateProcess(
                spec,
                self._log.instance,
                self._children,
                self._selector,
                self.read,
                lambda status: self._exited(template, status),
            )
        except OSError as error:
            self._log.trouble("template-failed", python=spec.python, reason=error)
            self._start_later(spec, lived=0.0)
            self._fail(self._take_waiting(), f"the template can't be started: {error}")
            return
        self._template = template
        self._expect(f"was not ready in {self._prepare_deadline:g} s", self._prepare_deadline)

    def _start_later(self, spec: TemplateSpec, lived: float, pause: float = 0.0) -> None:
        self._failures = backoff.failures_after(self._failures, lived)
        self._timers.after(max(pause, backoff.delay(self._failures)), TIMER, lambda: self._start(spec))

    def _expect(self, reason: str, seconds: float) -> None:
        """Give the template up for this reason, unless it says something within so many seconds."""
        template = self._template
        if template is not None:
            self._timers.after(seconds, TIMER, lambda: self._give_up(template, reason))

    def _give_up(self, template: TemplateProcess, reason: str) -> None:
        """Replace a template that is there and of no use."""
        self._log.trouble("template-given-up", pid=template.pid, reason=reason)
        self._lose(template, f"the template {reason}")

    def _exited(self, template: TemplateProcess, status: int) -> None:
        if template is self._template:
            self._log.trouble("template-exited", pid=template.pid, status=exit_text(status))
            pause = backoff.LONGEST if status == CONFIGURATION else 0.0  # the same again would come of it at once
            never_was = status == NOT_RUN and template.ready_for() is None
            ended = f"{template.spec.python} can't be run" if never_was else f"the template ended ({exit_text(status)})"
            self._lose(template, ended, pause)

    def _lose(self, template: TemplateProcess, reason: str, pause: float = 0.0) -> None:
        if template is not self._template:
            return
        failed = self._drop(template)
        ready_for = template.ready_for()
        self._start_later(template.spec, ready_for or 0.0, pause)
        self._fail(failed if ready_for is not None else [*failed, *self._take_waiting()], reason)

    def _drop(self, template: TemplateProcess) -> list[Fork]:
        """End a template; return the forks that it did not answer."""
        self._timers.cancel(TIMER)
        self._template = None
        template.hush()  # what it says after the last look at it would be lost, and the worker that it is about with it
        self._children.kill(template.pid)
        self._read(template)
        template.close()
        return list(template.unanswered())

    def _fail(self, forks: list[Fork], reason: str) -> None:
        for fork in forks:
            self._on_answer(Answer(fork.spec.queue, fork.generation, ForkFailed(reason)))

    def _fail_soon(self, fork: Fork, reason: str) -> None:
        # Whoever asks is not called back before the request has returned.
        self._timers.after(0, f"unsent {fork.spec.queue} {fork.generation}", lambda: self._fail([fork], reason))

    # Requests and answers

    def _read(self, template: TemplateProcess) -> None:
        while True:
            try:
                message = template.receive()
            except ValueError as error:
                template.close()
                self._give_up(template, f"can't be understood: {error}")
                return
            if message is None:
                break
            self._heard(message)
        if template is self._template and not template.is_open():  # its end comes as an exit, which says how it ended
            self._expect(f"closed its socket and did not end for {self._answer_deadline:g} s", self._answer_deadline)

    def _heard(self, message: Prepared | Answer) -> None:
        self._timers.cancel(TIMER)
        self._expect_answers()
        if isinstance(message, Prepared):
            self._log.fact("template-prepared", seconds=round(message.seconds, 3))
        else:
            self._on_answer(message)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._template is not None and self._template.can_fork():
            request = self._waiting[0]
            try:
                is_sent = self._template.fork(request)
            except OSError as error:  # this one is too large for the socket, or memory is short
                self._fail_soon(request.fork, f"the template can't be asked: {error}")
            else:
                if not is_sent:
                    return  # its buffer is full: each answer makes room, and brings us here again
                self._expect_answers()
            self._waiting.remove(request)
            request.ends.close()

    def _expect_answers(self) -> None:
        if self._template is not None and self._template.unanswered() and TIMER not in self._timers:
            self._expect(f"did not answer for {self._answer_deadline:g} s", self._answer_deadline)

    def _take_waiting(self) -> list[Fork]:
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            request.ends.close()
        return [request.fork for request in waiting]
