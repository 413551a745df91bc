"""A private Redis: on a free loopback port, without a file, gone with the process that started it."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess

import redis

from tests.waiting import wait_until

_PR_SET_PDEATHSIG = 1


class Redis:
    """One Redis server."""

    def __init__(self) -> None:
        """Choose a port; nothing is started."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server; return when it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            ["redis-server", *options], stdout=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        wait_until(self._answers, 30, "Redis answers")

    def close(self) -> None:
        """End the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            return bool(redis.Redis(port=self.port).ping())
        except redis.ConnectionError:
            return False


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
