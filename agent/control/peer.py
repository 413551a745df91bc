"""Who is at the other end of a Unix socket: the kernel says so, whatever the other end says of itself.

Of who listens it says who that was when it began to (SO_PEERCRED, unix(7)).
"""

from __future__ import annotations

import pwd
import socket
import struct
from pathlib import Path

from agent.guest.values import dataclass

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


@dataclass(frozen=True, slots=True)
class Peer:
    """A process at the other end; `pid` is 0 for one that this process can't see, such as the host's from a container."""

    pid: int
    uid: int

    def __str__(self) -> str:
        """Return it in words for people."""
        return f"process {self.pid} of user {user_name(self.uid)}"

    def may_call_itself(self, pid: int) -> bool:
        """Say whether this may be its pid: as it is seen here, or in a process namespace of its own, below this one."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:  # it has ended, or is hidden from this user (hidepid=, proc(5)): there is nothing to go by
            return True
        seen = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
        return str(pid) in seen.split()


def peer_of(connection: socket.socket) -> Peer:
    """Return who is at the other end of a connection."""
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid)


def user_name(uid: int) -> str:
    """Return a user's name, or the number of one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
