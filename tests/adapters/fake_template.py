"""A template without Celery: takes the same messages, forks workers that only wait, and misbehaves as FAKE tells it.

hang     it never says that it is prepared            mute     it answers no fork
die      it ends before it is prepared                leave    it answers one fork and ends, with the others unread
garble   what it says is no message                   unasked  it answers what nobody asked for
shut     it is prepared, then closes its socket and lives on
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence

from agent.guest.messages import LARGEST, Answer, Fork, Forked, Prepared, decode, encode

CONTROL = 3


def main() -> None:
    """Serve fork requests until the socket is closed."""
    fault = os.environ.get("FAKE", "")
    control = socket.socket(fileno=CONTROL)
    control.recv(LARGEST)
    if fault == "hang":
        signal.pause()
    if fault == "die":
        sys.exit(78)
    control.send(b"[" * 100_000 if fault == "garble" else encode(Prepared(0.5)))
    if fault == "shut":
        control.close()
        signal.pause()
    if fault == "unasked":
        control.send(encode(Answer("nobody", 1, Forked(os.getpid()))))
    if fault == "mute":
        signal.pause()
    if fault == "leave":
        time.sleep(0.3)  # for more than one request to be there
    while True:
        datagram, descriptors, _, _ = socket.recv_fds(control, LARGEST, 3)
        if not datagram:
            return
        request = decode(datagram)
        assert isinstance(request, Fork)
        control.send(encode(Answer(request.spec.queue, request.generation, Forked(fork(descriptors)))))
        if fault == "leave":
            return


def fork(descriptors: Sequence[int]) -> int:
    """Start a process that only waits, as a child of this process's parent; return its pid."""
    told, tell = os.pipe()
    if (intermediate := os.fork()) == 0:
        pid = os.fork()
        if pid:
            os.write(tell, str(pid).encode())
            os._exit(0)
        os.setsid()
        os.closerange(3, 64)
        signal.pause()
        os._exit(0)
    os.waitpid(intermediate, 0)
    pid = int(os.read(told, 32))
    for descriptor in (told, tell, *descriptors):
        os.close(descriptor)
    return pid


if __name__ == "__main__":
    main()
