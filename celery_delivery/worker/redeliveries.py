"""What the broker delivers again while this worker runs it, or has run it: it is not run twice, and acked once.

With a connection go the acks that were on their way on it, and all that was not acked is delivered again. Stock Celery runs
it again: beside the first run in a threads pool, whose tasks can't be ended; after it in the solo pool (celery #10490); and
beside the first run in a pool of processes, where one has the task and the worker has not read yet that it has begun. What is
known to run there ends with the connection (`cancelled`).

    the first delivery           the message that comes again
    ---------------------------  -----------------------------------------------------------
    runs, or is in the pool      takes its place: it is acked or rejected when the run ends
    was acked                    is acked at once; a result that could not be stored is stored first
    was rejected, or dropped     is a new task

On one channel no ack is lost: what is delivered again there comes from another worker that died, and is a new task, although
somebody may have used the same id and arguments before.

Only this process knows. What is delivered again to another worker, or after this one's end, runs again.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import ReferenceType, ref

from celery.concurrency.thread import TaskPool as ThreadPool
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.request import Request

from celery_delivery.results.losses import losses
from celery_delivery.worker.pool import MendedPool, is_held

FEWEST = 256  # deliveries that are known before those are looked for that are no more

_log = get_logger(__name__)


class _Delivery:
    """What has become of one message, which holds this; nothing here holds it, or both would stay for the collector."""

    __slots__ = ("__weakref__", "again", "channel", "is_acked", "is_settled", "request")

    def __init__(self, channel: Any) -> None:
        self.channel = ref(channel)  # by which it came last
        self.request: ReferenceType[Request] | None = None  # once it was given to the pool
        self.again: Any = None  # the newest message that took its place
        self.is_settled = False
        self.is_acked = False


class Redeliveries:
    """The deliveries of one worker; called by its main thread, and by those of its pool."""

    def __init__(self, most: int, pool: Any) -> None:
        """Know of none yet.

        most: how many messages the broker lets the worker have at once, and so how many acks can be lost: it delivers no
        more before it has got some. pool: what the worker gives them to.
        """
        self._pool = pool
        self._of: dict[int, ReferenceType[_Delivery]] = {}  # a WeakValueDictionary takes 5 times as long
        self._room = FEWEST
        self._acked: deque[_Delivery] = deque(maxlen=most)
        self._lock = threading.RLock()  # Celery's handler of SIGQUIT acks, perhaps above what holds it

    def is_known(self, message: Any, errors: tuple[type[BaseException], ...]) -> bool:
        """Say whether a message that has come needs no new run; what has been acked is acked, raising none of the errors."""
        key = _identity(message)
        if not message.delivery_info.get("redelivered"):
            self._note(key, message)
            return False
        with self._lock:
            known = self._of.get(key)
            before = None if known is None else known()
            if before is not None and before.channel() is message.channel:
                before = None  # another message with the same id and arguments
            was_acked = before is not None and before.is_acked
            if before is None or not (was_acked or self._runs(before)):
                self._note(key, message)
                return False
            if not was_acked:
                before.again, before.channel = message, ref(message.channel)
                self._keep_known(before)
        name, task_id = message.headers.get("task"), message.headers.get("id")
        if was_acked:
            _log.warning("Task %s[%s] is delivered again, and was run: it is acked once more", name, task_id)
            losses.store_again(task_id)  # the broker was away then, and is here
            message.ack_log_error(_log, errors)
        else:
            _log.warning("Task %s[%s] is delivered again while it runs here: it is acked when it ends", name, task_id)
        return True

    def given(self, request: Request) -> None:
        """Note that a task is given to the pool."""
        delivery = getattr(request.message, "delivery", None)
        if delivery is not None:
            delivery.request = ref(request)

    def settled(self, method: Callable[..., None]) -> Callable[..., None]:
        """Note that a message is acked or rejected, by a method of it; return that of the message which took its place."""
        delivery = getattr(getattr(method, "__self__", None), "delivery", None)
        if delivery is None:
            return method
        with self._lock:
            delivery.is_settled = True
            if method.__name__ == "ack_log_error":
                delivery.is_acked = True
                self._acked.append(delivery)
            newest = delivery.again
        return method if newest is None else getattr(newest, method.__name__)

    def _note(self, key: int, message: Any) -> None:
        message.delivery = _Delivery(message.channel)
        if len(self._of) >= self._room:
            self._of = {each: delivery for each, delivery in self._of.items() if delivery() is not None}
            self._room = max(FEWEST, 2 * len(self._of))
        self._of[key] = ref(message.delivery)

    def _runs(self, delivery: _Delivery) -> bool:
        request = None if delivery.request is None else delivery.request()
        if request is None or delivery.is_settled:
            return False
        return request in state.active_requests or (request.time_start is None and self._is_in_pool(request))

    def _keep_known(self, delivery: _Delivery) -> None:
        """Have a task that a process has not begun be found by who revokes it: the worker forgot it with the connection.

        One that waits for a thread may begin and end meanwhile; no thread can be ended anyway.
        """
        request = None if delivery.request is None else delivery.request()
        if isinstance(self._pool, MendedPool) and request is not None and request.time_start is None:
            state.task_reserved(request)

    def _is_in_pool(self, request: Request) -> bool:
        """Say whether a task that has not begun, as far as is known, is run although its connection is lost."""
        match self._pool:
            case ThreadPool():
                return True
            case MendedPool():  # in the cache of a stock one may be what nobody runs
                return is_held(request)
            case _:
                return False


def _identity(message: Any) -> int:
    """Return a number for a message, the same one when it comes again; each retry and replacement of a task has its own."""
    say = message.headers.get
    return hash((str(say("id")), str(say("retries")), str(say("replaced_task_nesting")), message.body))
