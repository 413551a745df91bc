"""The daemon's side of one template process: starts it, sends it what it is asked for, understands what it says."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from selectors import EVENT_READ, BaseSelector

from agent.guest.messages import LARGEST, Answer, Fork, Prepare, Prepared, decode, encode
from agent.guest.receiving import receive, refuse_descriptors
from agent.guest.spec import TemplateSpec
from agent.guest.values import dataclass
from agent.run.children import Children
from agent.run.links import Ends

LAUNCH = str(Path(__file__).parents[1] / "guest" / "launch.py")
CONTROL = 3  # where the template finds its socket


@dataclass(frozen=True, slots=True)
class Request:
    """A fork to be made and the descriptors that go with it; they are closed once it was sent or given up."""

    fork: Fork
    ends: Ends


class TemplateProcess:
    """One template process and the socket to it; the socket is closed once the process has closed its end, or by `close`."""

    def __init__(
        self,
        spec: TemplateSpec,
        instance: str,
        children: Children,
        selector: BaseSelector,
        on_readable: Callable[[], None],
        on_exit: Callable[[int], None],
    ) -> None:
        """Start the process; raises OSError where the interpreter can't be run.

        on_readable: called when there is something to `receive`. on_exit: called with the exit status, negative for a signal.
        """
        self.spec = spec
        self._prepared_at: float | None = None
        self._unanswered: dict[tuple[str, int], Fork] = {}
        self._selector = selector
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        refuse_descriptors(self._socket)
        try:
            # It is sent before the process is there to read it: what can't be sent then is an error of the start.
            # The environment is left out, since the process has it already, and a datagram has limits.
            self._socket.send(encode(Prepare(replace(spec, environment=()), instance)))
            self.pid = children.spawn(
                [spec.python, "-P", LAUNCH, "work.template"],
                dict(spec.environment),
                {CONTROL: theirs.fileno()},
                on_exit,
            )
        except OSError:
            self._socket.close()
            raise
        finally:
            theirs.close()
        selector.register(self._socket, EVENT_READ, on_readable)

    def can_fork(self) -> bool:
        """Say whether it has prepared itself, and can still be asked."""
        return self._prepared_at is not None and self.is_open()

    def is_open(self) -> bool:
        """Say whether there is a way to it."""
        return self._socket.fileno() >= 0

    def ready_for(self) -> float | None:
        """Return for how many seconds it has been prepared; None where it never was."""
        return None if self._prepared_at is None else time.monotonic() - self._prepared_at

    def unanswered(self) -> tuple[Fork, ...]:
        """Return the forks that were asked for and not answered yet, the oldest first."""
        return tuple(self._unanswered.values())

    def fork(self, request: Request) -> bool:
        """Ask for a fork; False where it takes nothing now. Raises OSError where this request can't be sent at all."""
        try:
            socket.send_fds(self._socket, [encode(request.fork)], request.ends.descriptors())
        except (BlockingIOError, ConnectionError):
            return False
        self._unanswered[request.fork.spec.queue, request.fork.generation] = request.fork
        return True

    def receive(self) -> Prepared | Answer | None:
        """Return the next thing that it has said, None where there is nothing now; raises ValueError for nonsense."""
        datagram = self._next_datagram()
        if datagram is None:
            return None
        message = decode(datagram)
        match message:
            case Prepared() if self._prepared_at is None:
                self._prepared_at = time.monotonic()
                return message
            case Answer(queue, generation) if self._unanswered.pop((queue, generation), None) is not None:
                return message
        raise ValueError(f"{message!r} answers nothing")

    def hush(self) -> None:
        """Let it say no more; what it has said can still be received. A worker that it can't tell of then ends itself."""
        if self.is_open():
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the socket; forks that are under way come to nothing."""
        if self.is_open():
            self._selector.unregister(self._socket)
            self._socket.close()

    def _next_datagram(self) -> bytes | None:
        while self.is_open():
            try:
                datagram = receive(self._socket, LARGEST)
            except BlockingIOError:
                return None
            except ConnectionError:  # it ended with requests unread; what it said before is still there
                continue
            if datagram:
                return datagram
            self.close()
        return None
