"""Reading from a peer on a Unix socket that may send descriptors along: none of them is kept, and none is waited for.

A descriptor that nobody receives is closed by the kernel in the name of this process. A TCP socket with SO_LINGER and unsent
data then has it wait for as long as the sender has chosen: seen for 600 s, and with the daemon stood every queue.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress

SO_PASSRIGHTS = 83  # since Linux 6.16: a peer's attempt to send descriptors fails; asm-generic/socket.h
MOST = 253  # descriptors in one message; SCM_MAX_FD in net/scm.h
_NO_LINGER = struct.pack("ii", 0, 0)


def refuse_descriptors(receiver: socket.socket) -> None:
    """Have the kernel refuse descriptors that are sent to a socket, or to those that it accepts; an older one can't."""
    with suppress(OSError):
        receiver.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)


def is_gone(peer: socket.socket) -> bool:
    """Tell whether a peer has closed its end."""
    return _is_there(select.POLLHUP, peer)


def says_no_more(peer: socket.socket) -> bool:
    """Tell whether a peer has closed its end or shut it down; `receive` returns nothing for an empty datagram, too."""
    return _is_there(select.POLLRDHUP, peer)


def receive(peer: socket.socket, size: int) -> bytes:
    """Return what `peer.recv(size)` would; raises what that raises."""
    received, descriptors, _, _ = socket.recv_fds(peer, size, MOST)
    for descriptor in descriptors:
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as sent:
            sent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        os.close(descriptor)
    return received


def _is_there(event: int, peer: socket.socket) -> bool:
    poll = select.poll()
    poll.register(peer, event)
    return any(events & event for _, events in poll.poll(0))
