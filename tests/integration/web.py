"""Web servers that tests start, and ask."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.node import Node
from tests.ports import HOST, number, reserve
from tests.waiting import wait_until


@contextmanager
def server(node: Node, *command: str) -> Iterator[str]:
    """Start a server of `web.py` in the node's code; return its URL once it answers."""
    kept = reserve()
    address = f"{HOST}:{number(kept)}"
    where = ["--bind", address] if "gunicorn" in command else ["--host", HOST, "--port", str(number(kept))]
    log = node.code.parent / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *where],
            cwd=node.code,
            env={**os.environ, "PYTHONPATH": str(node.code), **node.variables},
            stdout=output,
            stderr=output,
        )
    with kept, process:
        try:
            wait_until(partial(answers, f"http://{address}/docs"), 60, f"the server answers, see {log}")
            yield f"http://{address}"
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        asked(url)
    except OSError:
        return False
    return True


def asked(url: str, method: str = "GET") -> str:
    request = urllib.request.Request(url, method=method)  # noqa: S310 - of a server that the test has started
    with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
        text: str = answer.read().decode()
    return text
