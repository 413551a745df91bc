"""How a pool of threads takes tasks: all that its worker has fetched, each of which waits there for a thread.

fault of the stock pool                                       seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------
it looks no more whether a task has expired, or was revoked,   a task runs though its time is over, and  _run_fresh
when a thread is free                                         its caller gets the result
where no more threads can be started, it raises, and keeps    a task that is refused, and runs all the  taking
the task                                                      same
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency.thread import TaskPool
from celery.exceptions import Ignore
from celery.utils.log import get_logger
from celery.worker import state

NO_THREAD = "can't start new thread"  # what Python says; the task is in the pool's queue by then

_log = get_logger(__name__)


def taking(pool: TaskPool) -> Callable[..., Any]:
    """Return a method `apply_async` for a pool; one thread is there from now on, for what finds no new one.

    Raises RuntimeError where there can't be even one.
    """
    apply_async = pool.apply_async
    pool.executor.submit(int).result()

    def apply(target: Callable[..., Any], args: Any, **options: Any) -> Any:
        target = partial(_run_fresh, options["callback"].__self__, target)
        try:
            return apply_async(target, args, **options)
        except RuntimeError as error:
            if NO_THREAD not in str(error):
                raise
            _log.warning("No thread could be started for a task: %s. It waits for one that is there", error)
            return None

    return apply


def _run_fresh(request: Any, target: Callable[..., Any], *args: Any) -> Any:
    if not (request.expires or request.id in state.revoked) or not request.revoked():  # which tells whoever waits
        return target(*args)
    try:
        raise Ignore  # noqa: TRY301 -- ExceptionInfo takes what is being handled
    except Ignore:
        return 1, ExceptionInfo(), 0.0
