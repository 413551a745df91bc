"""The way of a task from the worker into its pool, on which what one of them raises costs none but that one.

Stock Celery lets it through: the worker ends, or, where a timer was to start the task, its message stays for good.

    what is raised                                    its message
    ------------------------------------------------  ------------------------------------------------------------
    before the task runs, as by arguments that are    becomes a dead letter; whoever waits for its result is told;
    nested too deeply to be sent to a process         its place in the pool is free again
    when it has run, by what stores or tells the end  was acked, or is given back: delivered again, up to a limit
    while the worker stops                            is delivered again
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from celery.bootsteps import RUN
from celery.exceptions import InvalidTaskError
from celery.utils.log import get_logger
from celery.worker.state import task_ready

_log = get_logger(__name__)


def refusing(consumer: Any, run: Callable[[Any], None], pool: Any, controller: Any) -> Callable[[Any], None]:
    """Return what is called with each request that is due; `run` gives it to the pool, or to a queue for places in it.

    From that queue the controller takes it.
    """
    if getattr(pool, "uses_semaphore", False) and hasattr(controller, "_quick_release"):  # not without an event loop
        controller._process_task = partial(_start, consumer, controller._process_task, controller._quick_release)
        return run
    return partial(_start, consumer, run, None)


def _start(consumer: Any, run: Callable[[Any], None], release: Callable[[], None] | None, request: Any) -> None:
    try:
        run(request)
    except Exception as error:
        has_run = request.time_start is not None
        if not has_run and consumer.blueprint.state != RUN:
            raise
        task_ready(request)
        if request.acknowledged:
            _log.critical("Task %s[%s] has ended, and then: %r", request.name, request.id, error, exc_info=error)
        elif has_run:
            _log.critical("Task %s[%s] is given back: %r", request.name, request.id, error, exc_info=error)
            request.reject(requeue=True)
        else:
            consumer.on_invalid_task(None, request.message, InvalidTaskError(f"the pool can't take it: {error!r}"))
            request.acknowledged = True
        if release is not None and not has_run:
            release()
