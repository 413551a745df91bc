"""Results that go to the process that sent the task: Celery's rpc backend with its faults mended.

fault of the stock rpc backend                                seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
results that nobody reads stay for a day, however many        the broker's memory                      MOST_REPLIES
each task class, and each thread, of a process has a queue    a connection per class; a thousand       replies
for them                                                      queues of threads that are gone
the queue outlives a process that only sent                   100 queues of 100 scripts, for a day     leave_broker
the queue is declared, and waited for, with each task; for    a third of the time of `.delay()`;       on_task_call
ever where the broker is away                                 it hangs
a task's own tasks have none                                  `.get()` in allow_join_result() hangs    on_task_call
a forked child has its parent's queue and connection          results arrive at the wrong process      ReplyBackend
a task may name any queue for its result, and a worker        a producer's words in the dead letters   destination_for
may write to all of them                                      of queues that it has no right to

`celery_delivery.results.reader` has what reads them, and `refused` what is done about those that the broker does not take.
"""

import re
import threading
import uuid
from collections import deque
from typing import Any
from weakref import WeakSet

from amqp.exceptions import AMQPError
from celery import Celery, _state
from celery.exceptions import TimeoutError as NoResult
from celery.utils.log import get_logger

from celery_delivery import ends, forks
from celery_delivery.errors import SendError
from celery_delivery.results.reader import ReplyConsumer
from celery_delivery.results.refused import Telling
from celery_delivery.results.sequels import Sequels
from celery_delivery.results.timeouts import no_result
from celery_delivery.results.tolerant import Tolerant
from celery_delivery.results.unreached import Unreached
from celery_delivery.sending.pools import broker_key
from celery_delivery.sending.producer import Producer

REPLIES = "replies."  # begins the name of every queue for results
MOST_REPLIES = 100_000  # results that wait in such a queue; the oldest go first
# Ours, those of stock Celery's producers, and those whose names only the broker can give.
_FOR_REPLIES = re.compile(rf"{re.escape(REPLIES)}.|amq\.|[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$")
# Seconds for results of tasks that a task has sent: the broker's consumer_timeout, which no task can outlast.
LONGEST_TASK = 1800.0
FORMER = 20  # queues that are read beside the newest

_log = get_logger(__name__)


class ReplyBackend(Tolerant, Unreached, Sequels, Telling):
    """Sends a result to the process that sent the task, where any thread may wait for it."""

    ResultConsumer = ReplyConsumer
    persistent = True  # a broker that restarts has them still
    _is_refused: bool
    _is_of_worker: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._start()
        super().__init__(*args, **kwargs)
        self.thread_safe = True  # one for all threads of an app
        self._pending_messages.maxsize = MOST_REPLIES
        _made.add(self)

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Have the queue for results declared with the task, unless the broker has said that this worker may not."""
        if not isinstance(producer, Producer):
            super().on_task_call(producer, task_id)
        elif not self._is_refused:
            producer.expect_replies(self)

    def destination_for(self, task_id: str, request: Any) -> tuple[str, str]:
        """Return the queue that a task names for its result, "" where it names another kind, and its correlation id."""
        queue, correlation = super().destination_for(task_id, request)
        if not queue or _FOR_REPLIES.match(queue):
            return queue, correlation
        _log.error("The result of task %s is dropped: reply_to is %r, which is no queue for results.", task_id, queue)
        return "", correlation

    @property
    def queues(self) -> tuple[Any, ...]:
        """The queues that results may come by: former ones, and last the one that is named in what is sent now."""
        with self.lock:
            if not self._queues:
                self._queues.append(self._queue())
            return tuple(self._queues)

    @property
    def oid(self) -> str:
        """The name of the queue for results, for whoever names it in a task."""
        with self.lock:
            self._is_named = True
            return str(self.queues[-1].name)

    @property
    def binding(self) -> Any:
        """The queue for results, for whoever sends a task that names it, and declares it."""
        # Else `renew` in another thread could replace the queue between these lines, and the new one would count as unnamed.
        with self.lock:
            self._is_named = True
            return self.newest

    @property
    def newest(self) -> Any:
        """The queue for results, for whoever declares it."""
        ends.at_end(_leave_broker)
        with self.lock:
            queue = self.queues[-1]
            self._declared = queue.name
        return queue

    def expects(self, queue: str | None) -> bool:
        """Say whether a queue is one of ours."""
        return any(each.name == queue for each in self.queues)

    def renew(self, name: str) -> None:
        """Have another queue than this one, where it was declared: a connection was lost, and its node may be down.

        What comes by the former one is read, too, where it is still there. Should a node come back, the broker removes its
        queues after `result_expires`.
        """
        with self.lock:
            if not name == self.queues[-1].name == self._declared:
                return
            if not self._is_named:
                self._unread.append(self._queues.pop().name)  # nothing comes by it, but the broker may have it
            self._is_named = False
            self._queues.append(self._queue())
            self._unread.extend(queue.name for queue in self._queues[: -1 - FORMER])
            del self._queues[: -1 - FORMER]

    def goes_without(self) -> bool:
        """Note that the broker refuses the queue; say whether tasks are sent without one, as those of a worker are."""
        if self._is_of_worker:
            self._is_refused = True
        return self._is_refused

    def leave_broker(self) -> None:
        """Delete the queues; what the broker can't be told now, it does after `result_expires`."""
        with self.lock:
            if not self._declared:
                return
            names = [*(queue.name for queue in reversed(self.queues)), *self._unread]
            self._declared = ""
        try:
            with self.app.amqp.producer_pool.acquire(block=True) as producer:
                producer.delete(names)
        except (AMQPError, OSError, SendError) as error:
            _log.debug("Queues for results could not be deleted: %s", error)

    def get_task_meta(self, task_id: str, *_args: Any, **_options: Any) -> Any:
        """Return the newest state of a task, for whoever polls it."""
        return self.meta_from_decoded(self.result_consumer.known(task_id))

    def wait_for_pending(self, result: Any, *args: Any, timeout: float | None = None, **options: Any) -> Any:
        """Return what a task has returned; raises TimeoutError where it does not come in time."""
        try:
            return super().wait_for_pending(result, *args, timeout=timeout, **options)
        except NoResult:
            if result._cache:  # the task has raised it
                raise
            raise NoResult(no_result(result, timeout)) from None

    def add_pending_result(self, result: Any, *args: Any, **options: Any) -> Any:
        """Have a result wait for what comes."""
        with self.lock:
            return super().add_pending_result(result, *args, **options)

    def _remove_pending_result(self, result: Any) -> Any:
        with self.lock:
            return super()._remove_pending_result(result)

    def _collect_into(self, result: Any, bucket: Any) -> None:
        with self.lock:
            if result._cache:  # another thread has read it meanwhile
                bucket.append(result)
            else:
                super()._collect_into(result, bucket)

    def _after_fork(self) -> None:
        self._start()
        super()._after_fork()

    def _start(self) -> None:
        self.lock = threading.RLock()  # of what waits for results
        self._queues: list[Any] = []
        self._unread: deque[str] = deque(maxlen=FORMER)  # queues that are read no more
        self._declared = ""  # the queue that was declared last
        self._is_named = False  # whether the newest queue may stand in a task
        self._is_refused = False
        self._is_of_worker = False

    def _queue(self) -> Any:
        """Return a queue with a name of its own; a worker's, where tasks seldom wait for results, is a short-lived one."""
        self._is_of_worker |= _state.task_join_will_block()
        name, seconds = f"{REPLIES}{uuid.uuid4()}", self.expires
        if self._is_of_worker:
            seconds = min(seconds or LONGEST_TASK, LONGEST_TASK)
        return self.Queue(
            name,
            self.exchange,
            name,
            durable=True,
            auto_delete=False,  # a connection that is lost takes no results along
            expires=seconds,
            message_ttl=seconds,
            max_length=MOST_REPLIES,
        )


def replies(app: Celery, url: str | None = None) -> ReplyBackend:
    """Return the backend that all apps of a process share which have the same broker."""
    key = broker_key(app)
    found = _backends.get(key)
    if found is None:
        forks.let_go_in_children(_start_anew)
        # Of two threads that come here at once, both get the first one's.
        found = _backends.setdefault(key, ReplyBackend(app, url=url))
    return found


_backends: dict[str, ReplyBackend] = {}
_made: WeakSet[ReplyBackend] = WeakSet()


def _start_anew() -> None:
    for backend in _made:
        backend._after_fork()


def _leave_broker() -> None:
    for backend in _backends.values():
        backend.leave_broker()
