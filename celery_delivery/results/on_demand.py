"""Stores that tell of a result once it is there, as Redis does: told of what is waited for, and of nothing else.

fault of the stock consumer                                   seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ----------------
each task that is sent is subscribed to, waited for or not    a store that is away: `.delay()` takes   OnDemand
                                                              19 s and raises, and nothing is sent;
                                                              results that nobody reads pile up
                                                              (celery #6963)
a store that is away for 19 s is not read from any more       "application must be restarted"          reconnect_on_error
a result that is told of before its subscription has come     `.get()` times out, though the result    _look
there is not heard of: SUBSCRIBE and GET go by two            is there
connections, and nothing waits for the answer to the first
before 5.7: threads that wait for results of one backend      `.get()` times out                       TakingTurns
read from its connection at once

What a store tells is a hint, then: what it has is looked at again after 1 s, and ever more seldom.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from celery.backends.asynchronous import AsyncBackendMixin, BaseResultConsumer, Drainer
from celery.states import READY_STATES

from celery_delivery.results.reader import TakingTurns

PAUSE = 1.0  # seconds until the next attempt to reach a store that is away
FIRST_LOOK, LONGEST_LOOK = 1.0, 10.0  # seconds between two looks at all that is waited for; twice as many each time


class Subscriptions(BaseResultConsumer):
    """Goes before a consumer of results among the bases of a class: subscribes when somebody waits."""

    drainer: Any
    _is_lost = False  # the connection, with all that it was subscribed to

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wanted: set[str] = set()  # ids of tasks that are not subscribed to yet
        if type(self.drainer) is Drainer and not hasattr(self, "_pubsub_lock"):  # with which 5.7 has its own turns
            self.drainer = TakingTurns(self)
        self._pause, self._due = FIRST_LOOK, math.inf  # to the next look, and when that is by the monotonic clock

    def consume_from(self, task_id: str) -> None:
        """Leave it to who waits."""
        self._wanted.add(task_id)

    def cancel_for(self, task_id: str) -> None:
        """Subscribe to a task no longer."""
        self._wanted.discard(task_id)
        with suppress(*self._connection_errors):  # the subscription has gone with its connection
            super().cancel_for(task_id)

    def on_wait_for_pending(self, result: Any, **kwargs: Any) -> None:
        """Subscribe, then look what is there already; raises what the store's library does where the store is away."""
        try:
            self._subscribe()
        except self._connection_errors:  # it may have been an old connection
            self._subscribe()
        super().on_wait_for_pending(result, **kwargs)

    def drain_events(self, timeout: float | None = None) -> None:
        """Read once; raises TimeoutError where the store is away: who waits has a limit of their own."""
        try:
            self._subscribe()
            if time.monotonic() >= self._due:
                self._look()
            super().drain_events(timeout)
        except TimeoutError:
            raise
        except self._connection_errors as error:
            time.sleep(PAUSE)
            raise TimeoutError(str(error)) from error

    def on_state_change(self, meta: Any, message: Any) -> None:
        """Take what is told of a task, once; what nobody waits for is not kept: who waits for it later looks what is there."""
        super().on_state_change(meta, message)
        if meta["status"] in READY_STATES:
            self._pending_messages.take(meta["task_id"], None)

    @contextmanager
    def reconnect_on_error(self) -> Iterator[None]:
        """Note that the connection is lost, and raise what tells of it; who waits has another."""
        try:
            yield
        except TimeoutError:
            raise
        except self._connection_errors:
            self._is_lost = True
            raise

    def on_after_fork(self) -> None:
        """Have nothing of the parent's."""
        self._wanted.clear()
        super().on_after_fork()

    def _subscribe(self) -> None:
        if self._is_lost:
            # Either subscribes again, and reads what came meanwhile; the second is that of Celery 5.5.
            (getattr(self, "_reconnect", None) or self._reconnect_pubsub)()
            self._is_lost = False
        for task_id in list(self._wanted):
            super().consume_from(task_id)
            self._wanted.discard(task_id)  # after it: another thread that finds it gone looks what is there
            self._pause, self._due = FIRST_LOOK, min(self._due, time.monotonic() + FIRST_LOOK)

    def _look(self) -> None:
        """Take what is there of all that is waited for."""
        self._due, self._pause = time.monotonic() + self._pause, min(2 * self._pause, LONGEST_LOOK)
        waited_for = list(self._pending_results.concrete)
        for found in self.backend.mget(map(self.backend.get_key_for_task, waited_for)) if waited_for else ():
            meta = found and self.backend.decode_result(found)
            if meta and meta["status"] in READY_STATES:
                self.on_state_change(meta, None)


class OnDemand(AsyncBackendMixin):
    """Goes before a backend among the bases of a class: sending a task asks nothing of the store."""

    def on_task_call(self, _producer: Any, _task_id: str) -> None:
        """Leave it to who wants the result."""


@cache
def on_demand(stock: Any) -> Any:
    """Return a class of backends that asks a store for what is waited for only."""
    consumer = type("ResultConsumer", (Subscriptions, stock.ResultConsumer), {})
    return type(stock.__name__, (OnDemand, stock), {"ResultConsumer": consumer})
