"""What an event loop does with tasks and results, so that nothing of it blocks the loop.

await …                                          does as Celery's    in
-----------------------------------------------  ------------------  ---------------------------------------------
adelay, aapply_async of a task or a signature    delay, apply_async  one of a few threads
aready of a result, or of those of a group       ready               one of a few threads
aget of a result, or of those of a group         get                 the one thread that waits for all of them
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from celery.exceptions import TimeoutError as NoResult
from celery.result import EagerResult, ResultSet, assert_will_not_block

from celery_delivery.results.timeouts import no_result
from celery_delivery.results.watch import watch_of
from celery_delivery.sending.threads import in_thread


async def delayed(sent: Any, args: Any, kwargs: Any) -> Any:
    """Send a task or a signature with these arguments; return its result."""
    return await in_thread(sent.delay, *args, **kwargs)


async def applied(sent: Any, args: Any, options: Any) -> Any:
    """Send a task or a signature as `apply_async` does with these arguments; return its result."""
    return await in_thread(sent.apply_async, *args, **options)


async def known(result: Any) -> bool:
    """Say whether a task has ended, or all of a group have."""
    return bool(await in_thread(result.ready))


async def got(result: Any, timeout: float | None, propagate: Any) -> Any:
    """Return what a task has returned, or those of a group; raises Celery's TimeoutError after so many seconds.

    propagate: whether what a task has raised is raised; else it is returned.
    """
    assert_will_not_block()
    awaited = [(each, asyncio.wrap_future(watch_of(each.app).future(each))) for each in _coming(result)]
    try:
        async with asyncio.timeout(timeout) as limit:
            for each, future in awaited:
                await future
                if propagate and each.failed():
                    break
    except TimeoutError:
        if not limit.expired():
            raise
        raise NoResult(no_result(each, timeout)) from None
    finally:
        for _, future in awaited:
            future.cancel()
    return _value(result, propagate)


def _coming(result: Any) -> Iterator[Any]:
    """Return the results that are to be waited for."""
    if isinstance(result, ResultSet):
        for each in result.results:
            yield from _coming(each)
    elif not (
        isinstance(result, EagerResult)
        or result._cache
        or result.ignored
        or getattr(result.backend, "never_waits", False)
    ):
        yield result


def _value(result: Any, propagate: Any) -> Any:
    """Return what has come; raises what a task has raised, and what a store says that knows of none."""
    if isinstance(result, ResultSet):
        return [_value(each, propagate) for each in result.results]
    if isinstance(result, EagerResult):
        return result.get(propagate=propagate)
    return result.get(propagate=propagate, follow_parents=False)
