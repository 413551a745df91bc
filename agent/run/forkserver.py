"""The daemon's side of the template: keeps one alive, asks it for forks, hears of the results."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from selectors import EVENT_READ, BaseSelector

from agent.decide import backoff
from agent.guest.messages import LARGEST, Answer, Fork, ForkFailed, Message, Prepare, Prepared, decode, encode
from agent.guest.spec import TemplateSpec
from agent.run.children import Children
from agent.run.links import Ends
from agent.run.logs import Log
from agent.run.timers import Timers

LAUNCH = str(Path(__file__).parents[1] / "guest" / "launch.py")
CONTROL = 3  # where the template finds its socket


@dataclass(frozen=True, slots=True)
class Request:
    """A fork to be made and the descriptors that go with it; they are closed once it was sent or given up."""

    fork: Fork
    ends: Ends


class Template:
    """One template process and the socket to it."""

    def __init__(
        self,
        spec: TemplateSpec,
        instance: str,
        children: Children,
        on_message: Callable[[Message], None],
        on_exit: Callable[[int], None],
    ) -> None:
        """Start the process; raises OSError where the interpreter can't be run."""
        self.spec = spec
        self.started = time.monotonic()
        self.is_prepared = False
        self.unanswered: dict[tuple[str, int], Fork] = {}
        self._on_message = on_message
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.pid = children.spawn(
                [spec.python, "-P", LAUNCH, "work.template"],
                dict(spec.environment),
                {CONTROL: theirs.fileno()},
                on_exit,
            )
        ours.setblocking(False)
        self.socket = ours
        self._send(
            encode(Prepare(replace(spec, environment=()), instance))
        )  # it has that already; a datagram has limits

    def fork(self, request: Request) -> bool:
        """Ask for a fork; False where the template takes nothing now."""
        sent = self._send(encode(request.fork), *request.ends.descriptors())
        if sent:
            self.unanswered[request.fork.spec.queue, request.fork.generation] = request.fork
        return sent

    def read(self) -> bool:
        """Take in what the template has said; False once its end of the socket is closed."""
        while True:
            try:
                datagram = self.socket.recv(LARGEST)
            except (BlockingIOError, ConnectionError):
                return True
            if not datagram:
                return False
            message = decode(datagram)
            match message:
                case Prepared():
                    self.is_prepared = True
                case Answer(queue, generation):
                    self.unanswered.pop((queue, generation), None)
            self._on_message(message)

    def _send(self, datagram: bytes, *descriptors: int) -> bool:
        try:
            socket.send_fds(self.socket, [datagram], descriptors)
        except (BlockingIOError, ConnectionError):
            return False
        return True


class ForkServer:
    """Whatever template there is: requests wait while there is none, and one that dies is replaced."""

    def __init__(
        self,
        children: Children,
        selector: BaseSelector,
        timers: Timers,
        log: Log,
        on_answer: Callable[[Answer], None],
    ) -> None:
        """Start without a template; `on_answer` is called once for each request."""
        self._children = children
        self._selector = selector
        self._timers = timers
        self._log = log
        self._on_answer = on_answer
        self._template: Template | None = None
        self._waiting: list[Request] = []
        self._failures = 0

    def use(self, spec: TemplateSpec) -> None:
        """Fork from a template of this spec from now on; the present one stays where it is of the same."""
        if self._template is not None and self._template.spec == spec:
            return
        self._drop_template()
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
        self._timers.cancel("template")
        for request in self._waiting:
            request.ends.close()
        self._waiting.clear()
        self._drop_template()

    def _start(self, spec: TemplateSpec) -> None:
        self._timers.cancel("template")
        try:
            template = Template(
                spec, self._log.instance, self._children, self._heard, lambda status: self._exited(template, status)
            )
        except OSError as error:
            self._log.trouble("template-failed", python=spec.python, reason=error)
            self._start_later(spec, lived=0.0)
            return
        self._template = template
        self._selector.register(template.socket, EVENT_READ, self.read)

    def _start_later(self, spec: TemplateSpec, lived: float) -> None:
        self._failures = backoff.failures_after(self._failures, lived)
        self._timers.after(backoff.delay(self._failures), "template", lambda: self._start(spec))

    def _drop_template(self) -> None:
        template, self._template = self._template, None
        if template is not None:
            self._read(template)
            self._close_socket(template)
            self._children.kill(template.pid)
            self._fail_unanswered(template)

    def _exited(self, template: Template, status: int) -> None:
        if template is self._template:
            self._log.trouble("template-exited", pid=template.pid, status=status)
            self._drop_template()
            self._start_later(template.spec, time.monotonic() - template.started)

    def _read(self, template: Template) -> None:
        if template.socket.fileno() < 0:
            return
        try:
            is_open = template.read()
        except ValueError as error:
            self._log.trouble("template-not-understood", pid=template.pid, reason=error)
            self._children.kill(template.pid)
            is_open = False
        if not is_open:
            self._close_socket(template)  # that it ended comes as an exit

    def _fail_unanswered(self, template: Template) -> None:
        for fork in list(template.unanswered.values()):
            self._on_answer(Answer(fork.spec.queue, fork.generation, ForkFailed("the template is gone")))
        template.unanswered.clear()

    def _heard(self, message: Message) -> None:
        match message:
            case Prepared(seconds):
                self._log.fact("template-prepared", seconds=round(seconds, 3))
            case Answer():
                self._on_answer(message)
            case _:
                raise ValueError(f"the template sent {message!r}")
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._template is not None and self._template.is_prepared:
            if not self._template.fork(self._waiting[0]):
                return  # its buffer is full: each answer makes room, and brings us here again
            self._waiting.pop(0).ends.close()

    def _close_socket(self, template: Template) -> None:
        if template.socket.fileno() >= 0:
            self._selector.unregister(template.socket)
            template.socket.close()
