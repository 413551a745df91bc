"""Threads in which calls that block are made for event loops.

Not those of a loop itself: it looks names up in them, which is not to wait until a broker that is away has been given up.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from celery_delivery import forks

MOST = 10  # threads: as many as there are connections to send over, where broker_pool_limit is Celery's own


async def in_thread(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call in a thread, in the context of who awaits it; return or raise what that does.

    Where who awaits it is cancelled, the call goes on.
    """
    made = partial(contextvars.copy_context().run, call, *args, **options)
    return await asyncio.get_running_loop().run_in_executor(_executor(), made)


def _executor() -> ThreadPoolExecutor:
    if not _executors:
        forks.let_go_in_children(_executors.clear)
        _executors.append(ThreadPoolExecutor(MOST, thread_name_prefix="celery-calls"))
    return _executors[0]  # of two that were made at once, both use the first


_executors: list[ThreadPoolExecutor] = []
