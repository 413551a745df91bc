"""What an event loop may await, without a broker, and the app that threads have which have made none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import celery
import pytest
from celery.exceptions import TimeoutError as NoResult
from celery.result import EagerResult

from celery_delivery.apps import create_app_from
from celery_delivery.results.watch import Watch
from celery_delivery.testing import StubBroker

ROOT = Path(__file__).parents[2]
SETTINGS = "celery_tasks.celery_config"
THREAD = """
import json, threading
from celery import signature
{before}
from celery_delivery.testing import StubBroker
from celery_tasks.tasks import CountWordsTask, SleepTask
from celery_tasks.utils import create_worker_from

first, _ = create_worker_from(SleepTask)
create_worker_from(CountWordsTask)
with StubBroker() as broker:
    threads = [
        threading.Thread(target=lambda: signature("count_words", ("a b",)).delay()),
        threading.Thread(target=lambda: CountWordsTask().delay("c")),
    ]
    for thread in threads:
        thread.start()
        thread.join()
    print(json.dumps([each.args for each in broker.messages("count_words")]))
"""


class Counting(celery.Task):
    name = "counting"

    def run(self, text: str) -> dict[str, int]:
        return {word: text.split().count(word) for word in text.split()}


def test_a_task_is_sent_and_its_result_got_in_an_event_loop() -> None:
    async def main(broker: StubBroker, app: Any) -> Any:
        task = app.tasks["counting"]
        results = [await task.adelay("a b a"), await task.s("c").aapply_async()]
        group = await celery.group(task.s("d"), task.s("e")).adelay()
        assert not await results[0].aready()
        with pytest.raises(NoResult, match="run it by"):
            await results[0].aget(timeout=60)
        broker.work(app)
        assert await results[0].aready()
        return [await each.aget() for each in results], await group.aget()

    with StubBroker() as broker:
        app = create_app_from([Counting], SETTINGS)
        assert asyncio.run(main(broker, app)) == ([{"a": 2, "b": 1}, {"c": 1}], [{"d": 1}, {"e": 1}])


def test_a_result_that_is_there_already_is_got_or_raised() -> None:
    create_app_from([Counting], SETTINGS)
    done: Any = EagerResult("done", 7, "SUCCESS")
    failed: Any = EagerResult("failed", ValueError("no"), "FAILURE")
    assert asyncio.run(done.aget()) == 7
    with pytest.raises(ValueError, match="no"):
        asyncio.run(failed.aget())


def test_results_in_a_database_are_awaited(tmp_path: Path) -> None:
    app = celery.Celery("shop", backend=f"db+sqlite:///{tmp_path}/results", set_as_current=False)
    results = [app.AsyncResult(str(number)) for number in range(3)]

    async def main() -> Any:
        app.backend.store_result("0", 7, "SUCCESS")
        waiting = asyncio.gather(*(each.aget(timeout=30) for each in results), return_exceptions=True)
        early = await asyncio.gather(*(each.aready() for each in results))
        app.backend.store_result("1", ValueError("no"), "FAILURE")
        with pytest.raises(NoResult, match=r"no result of task 2 after 0\.1 s"):
            await results[2].aget(timeout=0.1)
        app.backend.store_result("2", 9, "SUCCESS")
        return early, await waiting

    early, (first, error, last) = asyncio.run(main())
    assert (early, first, last) == ([True, False, False], 7, 9)
    assert (type(error), error.args) == (ValueError, ("no",))


@pytest.mark.parametrize("before", ["", "celery.current_app.conf"], ids=["no app", "Celery's own"])
def test_a_thread_that_has_made_no_app_sends_by_the_first_of_the_process(before: str) -> None:
    code = THREAD.format(before=before and f"import celery; {before}")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == [["a b"], ["c"]], done.stderr


def test_an_app_that_is_the_default_stays_so() -> None:
    code = (
        "import celery; chosen = celery.Celery('chosen'); chosen.set_default()\n"
        "from celery_tasks.tasks import SleepTask\nfrom celery_tasks.utils import create_worker_from\n"
        "create_worker_from(SleepTask)\nprint(celery._state.default_app is chosen)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


def test_what_keeps_a_store_from_being_asked_is_told_to_each_who_waits() -> None:
    app = celery.Celery("nowhere", backend=f"db+sqlite:///{ROOT}/no/such/folder", set_as_current=False)
    app.conf.update(result_backend_max_retries=0, database_create_tables_at_setup=False)
    watch = Watch(app)
    futures = [watch.future(app.AsyncResult(str(number))) for number in range(2)]
    assert [type(future.exception(timeout=30)).__name__ for future in futures] == ["BackendGetMetaError"] * 2
