"""Results that are on their way when connections are lost, and when the broker is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import count

import pytest

from tests import administration
from tests.integration.web import asked, server
from tests.node import Node
from tests.ports import HOST, number, reserve

IN_FLIGHT, THREADS, CLIENTS = 200, 30, 8
PATIENT = {"confirm_timeout": 60}
LOOP = f"""
import asyncio, os
async def one(number):
    got, turn = [], 0
    while turn == 0 or not os.path.exists("FILE"):
        turn += 1
        result = await worker.aapply_async(("return", [number, turn]), **{PATIENT})
        got.append(await result.aget(timeout=200) == [number, turn] and result.ready())
        if number == 0 and turn == 1:
            print("under way", flush=True)
    return all(got)
async def main():
    return await asyncio.gather(*(one(number) for number in range({IN_FLIGHT})))
print(json.dumps(sum(asyncio.run(main()))), flush=True)"""
IN_THREADS = f"""
import os
from concurrent.futures import ThreadPoolExecutor
def many(number):
    got = []
    while len(got) < TURNS or not os.path.exists("FILE"):
        sent = [number, len(got)]
        result = worker.apply_async(("return", sent), **{PATIENT})
        got.append(result.get(timeout=200) == sent and result.ready())
        if sent == [0, 0]:
            print("under way", flush=True)
    return all(got)
with ThreadPoolExecutor({THREADS}) as threads:
    print(json.dumps(sum(threads.map(many, range({THREADS})))), flush=True)"""
SERVER = f"""
import os

import greek
from celery_tasks.utils import create_worker_from

_, alpha = create_worker_from(greek.Alpha)
assert alpha.delay("return", "before the fork").get(timeout=60) == "before the fork"

def web(environ, start_response):
    text = environ["PATH_INFO"]
    answer = alpha.apply_async(("return", text), **{PATIENT}).get(timeout=200)
    start_response("200 OK", [])
    return [f"{{os.getpid()}} {{answer}}".encode()]
"""
UNREAD = """
import os, time
sent = [worker.delay("return", number) for number in range(100)]
print("under way", flush=True)
while not os.path.exists("FILE"):
    time.sleep(0.05)
print(json.dumps([each.get(timeout=200) for each in sent] == list(range(100))), flush=True)"""
LAST = """
from celery_tasks.utils import create_worker_from
workers = [create_worker_from(kind)[1] for kind in (greek.Alpha, greek.Beta, greek.Gamma)]
assert [each.delay("return", 1).get(timeout=60) for each in workers] == [1, 1, 1]
last = [each.delay("wait for a file", "FILE") for each in workers]
print("under way", flush=True)
print(json.dumps([each.get(timeout=60) for each in last]), flush=True)"""
POOLS = {"alpha": "prefork", "beta": "threads", "gamma": "solo"}


def lines(*producers: subprocess.Popen[str]) -> list[str]:
    """Return the next line of each, or what one has failed by."""
    return [
        each.stdout.readline() or each.stderr.read() for each in producers if each.stdout is not None is not each.stderr
    ]


def test_no_result_is_lost_to_loops_threads_and_forked_servers_when_the_broker_restarts(
    node: Node, pytestconfig: pytest.Config
) -> None:
    """Those that nobody reads meanwhile are kept as well."""
    turns = pytestconfig.getoption("--turns")
    node.configure("alpha", DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="4")
    node.start()
    node.wait_until_consuming()
    over = node.code / "over"

    def producing(code: str) -> AbstractContextManager[subprocess.Popen[str]]:
        return node.producing(code.replace("FILE", str(over)).replace("TURNS", str(turns)), "alpha")

    def ask(client: int) -> set[str]:
        """Ask the server until all is over; return which of its processes have answered."""
        pids: set[str] = set()
        for turn in count():
            if turn >= turns and over.exists():
                return pids
            pid, path = asked(f"{url}/{client}/{turn}").split()
            assert path == f"/{client}/{turn}"
            pids.add(pid)
        raise AssertionError

    (node.code / "web.py").write_text(SERVER)
    command = ["gunicorn", "--preload", "--workers", "3", "--threads", "4", "--timeout", "300", "web:web"]
    with (
        server(node, *command) as url,
        ThreadPoolExecutor(CLIENTS) as clients,
        producing(UNREAD) as unread,
        producing(LOOP) as loop,
        producing(IN_THREADS) as threads,
    ):
        answers = clients.map(ask, range(CLIENTS))
        assert lines(unread, loop, threads) == ["under way\n"] * 3
        administration.close_all_connections(node.broker, node.vhost)
        node.broker.settle()
        node.broker.kill()
        node.broker.start()
        over.touch()
        assert lines(unread, loop, threads) == ["true\n", f"{IN_FLIGHT}\n", f"{THREADS}\n"]
        assert len(set().union(*answers)) > 1


@contextmanager
def led(port: int, target: str) -> Iterator[subprocess.Popen[bytes]]:
    """Lead connections to a port on to the target; freezes them at SIGUSR1."""
    command = [sys.executable, "-m", "tests.forward", f"{HOST}:{port}", target]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as forward:
        try:
            assert forward.stdout is not None
            assert forward.stdout.readline() == b"ready\n"
            yield forward
        finally:
            forward.kill()


def test_a_result_that_a_connection_took_along_comes_although_its_worker_has_nothing_else_to_do(node: Node) -> None:
    """Nothing passes from before the results are written until their connections are lost."""
    direct, kept = dict(node.variables), reserve()
    there = f"{direct['RABBITMQ_HOST']}:{direct['RABBITMQ_PORT']}"
    node.variables["RABBITMQ_PORT"] = str(number(kept))
    node.configure(*POOLS, **{f"QUEUES__{name}__POOL": pool for name, pool in POOLS.items()})
    node.variables = direct
    go = node.code / "go"
    with kept, node.producing(LAST.replace("FILE", str(go)), "alpha") as producer:
        with led(number(kept), there) as forward:
            node.start()
            node.wait_until_consuming()
            assert lines(producer) == ["under way\n"]
            for name in POOLS:
                node.wait_for(name, lambda queue: queue["active_count"] == 1, "runs it")
            forward.send_signal(signal.SIGUSR1)
            go.touch()
            for name in POOLS:
                node.wait_for(name, lambda queue: queue["succeeded"] == 2, "has run it")
        with led(number(kept), there):
            assert lines(producer) == [f"{json.dumps([str(go)] * 3)}\n"]
            node.stop()
