"""A private Redis: on a loopback port of its own, without a file."""

from __future__ import annotations

import os
import signal
import subprocess

import redis

from tests.ports import HOST, number, reserve
from tests.waiting import wait_until

SERVER = os.environ.get("TEST_REDIS", "redis-server")  # or Valkey's, see tests/rabbitmq_4.py


class Redis:
    """One Redis server."""

    def __init__(self) -> None:
        """Keep a port; nothing is started."""
        self._kept = reserve()
        self.port = number(self._kept)
        self.url = f"redis://{HOST}:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server; return when it answers."""
        options = ["--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        options += ["--set-proc-title", "no"]  # which would write over its environment, and so the marker of the run
        self._process = subprocess.Popen([SERVER, *options], stdout=subprocess.DEVNULL)
        wait_until(self._answers, 30, "Redis answers")

    def stop(self) -> None:
        """End the server, with all that it holds; the port stays kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Have the server take connections and say nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have the server go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """Return a client of the server, which the caller closes."""
        return redis.Redis(port=self.port)

    def close(self) -> None:
        """End the server for good."""
        self.stop()
        self._kept.close()

    def _answers(self) -> bool:
        try:
            return bool(redis.Redis(port=self.port).ping())
        except redis.ConnectionError:
            return False
