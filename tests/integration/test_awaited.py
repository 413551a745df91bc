"""Results in event loops, with real brokers and stores, and the web application of the docs."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.web import asked, server
from tests.node import ROOT, Node
from tests.redis import Redis
from tests.waiting import wait_until

BEHAVIOUR = """
import asyncio, celery, os, sys
def told(error):
    return [type(error).__name__, str(error)]
async def raised(result, timeout=30):
    try:
        return await result.aget(timeout=timeout)
    except Exception as error:
        return told(error)
async def main():
    failed = await worker.adelay("fail", 7)
    slow = await worker.adelay("wait for a file", sys.argv[1])
    cancelled = asyncio.create_task(slow.aget())
    seen = {
        "failed": [await raised(failed), told(await failed.aget(propagate=False)), await failed.aready()],
        "group": await (await celery.group(worker.s("return", n) for n in range(3)).adelay()).aget(timeout=30),
        "failing group": await raised(await celery.group(worker.s("return", 1), worker.s("fail", 2)).aapply_async()),
        "chain": await raised(await celery.chain(worker.s("return", 1), worker.si("return", 2)).adelay()),
        "slow": [await slow.aready(), (await raised(slow, 0.2))[0]],
        "wrong": await wrong(),
    }
    cancelled.cancel()
    open(sys.argv[1], "w").close()
    seen["twice"] = await asyncio.gather(slow.aget(timeout=30), slow.aget(timeout=30))
    seen["by its id"] = await raised(worker.AsyncResult(slow.id), 1) if sys.argv[2] != "rpc" else sys.argv[1]
    return seen
async def wrong():
    try:
        await worker.adelay(1, 2, 3, 4, 5)
    except TypeError as error:
        return "TypeError"
sys.argv = ["", FILE, STORE]
first = asyncio.run(main())
os.remove(FILE)
print(json.dumps([first, asyncio.run(main()) == first]))"""


def serve(node: Node, **settings: str) -> None:
    node.configure("alpha", DEFAULTS__POOL="threads", DEFAULTS__CONCURRENCY="4", **settings)
    node.start()
    node.wait_until_consuming()


@pytest.mark.parametrize("store", ["rpc", "redis"])
def test_what_is_awaited_is_as_in_a_thread(node: Node, redis_server: Redis, store: str) -> None:
    if store != "rpc":
        node.variables["CELERY_TASKS_RESULTS"] = redis_server.url
    serve(node)
    file = str(node.code / "go")
    first, is_the_same_in_another_loop = node.produce(
        BEHAVIOUR.replace("FILE", repr(file)).replace("STORE", repr(store)), "alpha"
    )
    assert first == {
        "failed": [["ValueError", "7"], ["ValueError", "7"], True],
        "group": [0, 1, 2],
        "failing group": ["ValueError", "2"],
        "chain": 2,
        "slow": [False, "TimeoutError"],
        "wrong": "TypeError",
        "twice": [file, file],
        "by its id": file,
    }
    assert is_the_same_in_another_loop


def test_a_result_by_rpc_that_another_process_waits_for_is_said_to_be_none_of_its_own(node: Node) -> None:
    code = """
import asyncio
told = []
for wait in (lambda result: result.get(timeout=0.5), lambda result: asyncio.run(result.aget(timeout=0.5))):
    try:
        wait(worker.AsyncResult("another's"))
    except Exception as error:
        told.append([type(error).__name__, str(error)])
print(json.dumps(told))"""
    text = (
        "there is no result of task another's after 0.5 s; by rpc it comes to the process that has sent the task alone, "
        "which gets it once"
    )
    assert node.produce(code, "alpha") == [["TimeoutError", text]] * 2


def test_the_web_application_of_the_docs_finds_results_in_any_of_its_processes(
    node: Node, redis_server: Redis, tmp_path: Path
) -> None:
    (node.code / "words.py").write_text(
        "from collections import Counter\nfrom celery_tasks.tasks import CountWordsTask\n"
        "class CountWords(CountWordsTask):\n"
        "    def run(self, text, *, minimum_length=1):\n        return dict(Counter(text.split()))\n"
    )
    node.variables["CELERY_TASKS_RESULTS"] = redis_server.url
    serve(node, TASKS="words:CountWords")
    example = re.search(
        r"^```python\n# web.py.*?\n(.*?)^```", (ROOT / "docs/results.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert example is not None
    (node.code / "web.py").write_text(example[1])
    with server(node, "uvicorn", "--workers", "2", "web:api") as url:
        ids = [json.loads(asked(f"{url}/counts?text=a+b+a", "POST"))["id"] for _ in range(20)]

        def counted(task_id: str) -> Any:
            found = json.loads(asked(f"{url}/counts/{task_id}"))
            return found["is_done"] and found["counts"]

        assert [wait_until(partial(counted, each)) for each in ids] == [{"a": 2, "b": 1}] * 20
        assert json.loads(asked(f"{url}/counts/now?text=a", "POST")) == {"a": 1}
