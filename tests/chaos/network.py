"""A network of the run's own: a namespace with nothing but a loopback device, whose packets can be dropped for real.

Whatever is started while it is entered lives in it: brokers, agents, producers. Nothing outside sees any of it, and the
packets are dropped by nftables in the kernel, so TCP on both sides does what it does when a cable is cut.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

CLONE_NEWNET = 0x40000000
ESTABLISHED = "01"  # proc(5), /proc/net/tcp
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """A context: this thread, and what it starts, is inside."""

    def __enter__(self) -> Network:
        """Enter a new network; raises PermissionError without the right to make one (`unshare -Urn` gives it)."""
        self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _call("unshare", CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, *error: object) -> None:
        """Leave it; the kernel removes it when its last process has ended."""
        _call("setns", self._outside, CLONE_NEWNET)
        os.close(self._outside)

    def cut(self, ports: Sequence[int]) -> None:
        """Drop every packet to and from these ports."""
        _load(f"tcp dport {_set(ports)} counter drop", f"tcp sport {_set(ports)} counter drop")

    def forget(self, ports: Sequence[int]) -> int:
        """Drop the packets of the connections that these ports have now, for good, as a firewall that lost its state does.

        New connections pass. Returns how many were cut off.
        """
        clients = _clients(ports)
        _load(
            f"tcp dport {_set(ports)} tcp sport {_set(clients)} counter drop",
            f"tcp sport {_set(ports)} tcp dport {_set(clients)} counter drop",
        )
        return len(clients)

    def heal(self) -> None:
        """Let everything pass again."""
        _nft("add table inet chaos; delete table inet chaos")

    def dropped(self) -> int:
        """Return how many packets have been dropped since the last healing."""
        words = _nft("list table inet chaos").split()
        return sum(int(words[at + 1]) for at, word in enumerate(words) if word == "packets")


def _clients(ports: Sequence[int]) -> list[int]:
    """Return the other ends' ports of all established connections to these ports."""
    found = []
    for line in Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if state == ESTABLISHED and int(remote.partition(":")[2], 16) in ports:
            found.append(int(local.partition(":")[2], 16))
    return found


def _load(*rules: str) -> None:
    chain = "type filter hook input priority filter; policy accept;"
    _nft(f"table inet chaos {{\nchain input {{\n{chain}\n" + "\n".join(rules) + "\n}\n}")


def _set(ports: Sequence[int]) -> str:
    return "{ " + ", ".join(map(str, ports)) + " }"


def _nft(text: str) -> str:
    return subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, check=True).stdout


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
