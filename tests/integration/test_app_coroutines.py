"""Coroutines among the tasks of a project's own app: run, and all that is the app's stays so."""

from __future__ import annotations

import pytest

from tests.projects import Project

SOURCE = """
import asyncio, contextvars, os
from celery import Celery, Task, current_task, shared_task
from celery.signals import task_prerun
from billiard.exceptions import SoftTimeLimitExceeded

app = Celery("proj", broker=os.environ["BROKER"], backend="rpc://")
app.conf.update(task_time_limit=50)
span = contextvars.ContextVar("span", default="none")

@task_prerun.connect
def begin(task_id, **_):
    span.set(task_id)

class Runs(Task):
    def __call__(self, *args, **kwargs):
        return asyncio.run(super().__call__(*args, **kwargs))

class Surrounds(Task):
    async def __call__(self, *args, **kwargs):
        span.set("around " + self.request.id)
        return await self.run(*args, **kwargs)

async def seen():
    await asyncio.sleep(0.01)
    return [current_task.request.id == span.get(), span.get()[:6], current_task.request.called_directly]

@app.task(name="plain")
async def plain():
    return await seen()

@shared_task(name="bound", bind=True, acks_late=True)
async def bound(self, value):
    await asyncio.sleep(0.01)
    return [self.name, value, self.request.hostname.split("@")[0]]

@app.task(name="retried", bind=True, autoretry_for=(OSError,), retry_backoff=False, default_retry_delay=0)
async def retried(self):
    if self.request.retries < 2:
        raise OSError("not yet")
    return self.request.retries

@app.task(name="runs", base=Runs)
async def runs():
    return await seen()

@app.task(name="surrounded", base=Surrounds)
async def surrounded():
    return await seen()

@app.task(name="cancelled")
async def cancelled():
    asyncio.current_task().cancel()
    await asyncio.sleep(60)

@app.task(name="late", time_limit=1, acks_late=True)
async def late():
    await asyncio.sleep(600)

@app.task(name="soft", soft_time_limit=1)
async def soft():
    try:
        await asyncio.gather(asyncio.sleep(600), asyncio.sleep(600))
    except SoftTimeLimitExceeded:
        return "caught"

@app.task(name="forgotten")
def forgotten():
    return seen()

@app.task(name="unread", ignore_result=True)
def unread():
    return seen()

@app.task(name="wrapped", base=Runs)
def wrapped():
    return seen()

@app.task(name="function")
def function(value):
    return [value, asyncio.run(seen())[0]]
"""
SENT = """
import proj
from celery import chain
proj.app.loader.import_default_modules()
def outcome(*sent):
    try:
        return proj.app.signature(sent[0], sent[1:]).apply_async().get(timeout=60)
    except Exception as error:
        return f"{type(error).__name__}{error.args}"
names = ("plain", "retried", "runs", "surrounded", "cancelled", "late", "soft", "forgotten", "wrapped")
value = {name: outcome(name) for name in names}
proj.unread.apply_async()
value["bound"] = outcome("bound", 7)
value["function"] = outcome("function", 7)
value["chain"] = chain(proj.plain.si(), proj.bound.s(), proj.function.s())().get(timeout=60)[0][0]
"""


@pytest.fixture
def project(project: Project) -> Project:
    (project.code / "proj.py").write_text(SOURCE)
    return project


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_coroutines_of_an_app_are_run_as_its_functions_are(project: Project, pool: str) -> None:
    project.configure(DEFAULTS__POOL=pool, DEFAULTS__CONCURRENCY="2")
    project.start()
    project.wait_until_consuming()
    value = project.python(SENT)
    for name in ("plain", "runs", "wrapped"):
        del value[name][1]  # a part of the id
    assert value == {
        "plain": [True, False],
        "retried": 2,
        "runs": [True, False],
        "surrounded": [False, "around", False],
        "cancelled": "TaskExit('CancelledError()',)",
        "late": "TimeLimitExceeded(1,)",
        "soft": "caught",
        "forgotten": "TypeError('forgotten returned a coroutine: define it with async def, so that it is run',)",
        "wrapped": [True, False],
        "bound": ["bound", 7, "celery.1.magic"],
        "function": [7, True],
        "chain": "bound",
    }
    assert (
        "TypeError('unread returned a coroutine: define it with async def, so that it is run')"
        in project.log.read_text()
    )
    checked = project.run("check", "magic").stdout
    assert ("task_time_limit is 50, and nothing enforces it" in checked) == (pool == "threads")
    assert "soft.soft_time_limit" not in checked
