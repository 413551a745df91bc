"""The chapter Results."""

import asyncio
from typing import Any

from celery.contrib.abortable import AbortableAsyncResult
from celery.result import result_from_tuple

from tests.guide.fleet import Fleet, refused, task_of, told
from tests.guide.rows import of
from tests.waiting import wait_until

row = of("Results")


@row("get(timeout=)")
def get(fleet: Fleet) -> None:
    assert told(lambda: fleet.s("unhosted").delay().get(timeout=0.2)).startswith("TimeoutError")


@row("get(propagate=False)")
def kept(fleet: Fleet) -> None:
    found = fleet.s("add", -1).delay().get(timeout=60, propagate=False)
    assert repr(found) == "ValueError('negative')"


@row("ready(), successful(), failed(), state")
def ready(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    wait_until(sent.ready, 60, "it is ready")
    assert sent.successful()


@row("result, info, traceback")
def info(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    wait_until(sent.ready, 60, "it is ready")
    assert (sent.result, sent.info, sent.traceback) == (2, 2, None)


@row("name, args, kwargs, worker, date_done: result_extended")
def extended(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    sent.get(timeout=60)
    assert sent.date_done
    if fleet.counts:
        assert (sent.name, sent.queue) == ("twice", "right")
        assert sent.worker.startswith("right.")


@row("by its id, in a later request: AsyncResult(id)")
def by_id(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    if fleet.counts:
        assert fleet.app.AsyncResult(sent.id).get(timeout=60) == 2
    else:
        assert sent.get(timeout=60) == 2


@row("reading a result twice")
def twice(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    assert [sent.get(timeout=60) for _ in range(2)] == [2, 2]


@row("forget()")
def forget(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    assert sent.get(timeout=60) == 2
    sent.forget()
    if fleet.counts:
        assert fleet.app.AsyncResult(sent.id).state == "PENDING"


@row("children, collect(), iterdeps()")
def children(fleet: Fleet) -> None:
    sent = fleet.s("ask", "and leave").delay()
    child = sent.get(timeout=60)
    assert [each.id for each in sent.children] == [child]
    if fleet.counts:
        assert [value for _, value in sent.collect(timeout=60)] == [child, 8]


@row("then(callback)")
def then(fleet: Fleet) -> None:
    seen: list[object] = []
    sent = fleet.s("twice", 1).delay()
    sent.then(lambda result: seen.append(result.result))
    assert sent.get(timeout=60) == 2


@row("in other threads, asyncio.to_thread")
def threads(fleet: Fleet) -> None:
    sent = [fleet.s("twice", number).delay() for number in range(5)]

    async def gathered() -> list[Any]:
        return await asyncio.gather(*(asyncio.to_thread(each.get, timeout=60) for each in sent))

    assert asyncio.run(gathered()) == [0, 2, 4, 6, 8]


@row("await: adelay(), aapply_async(), aget(), aready()")
def awaited(fleet: Fleet) -> None:
    twice = task_of(fleet.app, "twice")

    async def gathered() -> list[Any]:
        sent = [await twice.adelay(1), await twice.aapply_async((2,), countdown=1)]
        found = await asyncio.gather(*(each.aget(timeout=60) for each in sent))
        return [*found, await sent[0].aready()]

    assert asyncio.run(gathered()) == [2, 4, True]


@row("as_tuple(), as_list(), result_from_tuple")
def tuples(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    assert result_from_tuple(sent.as_tuple(), app=fleet.app).get(timeout=60) == 2


@row("result_expires")
def result_expires(fleet: Fleet) -> None:
    assert fleet.app.conf.result_expires


@row("revoke() of a result")
def revoke(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).apply_async(countdown=2)
    sent.revoke()
    assert told(lambda: sent.get(timeout=60)) == "TaskRevokedError: revoked"


@row("abortable tasks")
def abortable(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    assert sent.get(timeout=60) == 2
    refused(lambda: fleet.app.tasks["add"].is_aborted, "AttributeError")
    assert AbortableAsyncResult(sent.id, app=fleet.app) is not None
