"""Celery's consumer with its faults mended; in use through the setting `worker_consumer`.

    fault of the stock consumer                                   seen as                               mend
    ------------------------------------------------------------  ------------------------------------  ----------------
    the hub polls for up to 10 s while callbacks are ready,       a solo worker with a small prefetch   ReadyFirst
    acks among them (celery #6941, kombu PR #1587)                runs 1 task/s instead of 2,000
    a signal does not end the poll (PEP 475 restarts it)          SIGTERM of an idle worker: 4 to 8 s   WakeOnSignal
    the pause between connection attempts grows to 30 s and       20 s without a consumer after the     ensure_connected
    has no setting                                                broker is back
    quorum queues make it declare 28 queues for delayed tasks     a quorum leader killed: 18 s without   Blueprint
    at each connection (`queues` has what delays need)            a consumer, 17 of them for these

The figures were measured with Celery 5.7.0. The parts of Celery that are overridden are named in its documentation of
bootsteps or are methods of its Consumer; `tests/integration/test_celery_mends.py` fails without each of them.
"""

import signal
import socket
from functools import partial
from typing import Any

from celery import bootsteps
from celery.worker.consumer import Consumer as StockConsumer

RETRY_STEP = 0.5  # seconds between the first two attempts, and by how much the pause grows
RETRY_LONGEST = 2.0


class ReadyFirst(bootsteps.StartStopStep):
    """Has the hub poll without waiting while callbacks are ready.

    `register_with_event_loop` runs at every (re)connect; the hub has a new poller after each of them.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def register_with_event_loop(self, _consumer: Any, hub: Any) -> None:
        """Put ourselves before the poller's own method."""
        hub.poller.poll = partial(self._poll, hub, type(hub.poller))

    @staticmethod
    def _poll(hub: Any, poller: Any, timeout: float | None) -> Any:
        return poller.poll(hub.poller, 0 if hub._ready else timeout)


class WakeOnSignal(bootsteps.StartStopStep):
    """Ends the hub's poll when a signal comes, so that a shutdown begins at once.

    `register_with_event_loop` runs at every (re)connect; the hub forgets its readers at each of them.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)
    _ends: tuple[socket.socket, socket.socket] | None = None

    def register_with_event_loop(self, _consumer: Any, hub: Any) -> None:
        """Have the hub watch the end that the interpreter writes to when a signal comes."""
        if WakeOnSignal._ends is None:
            receiver, sender = socket.socketpair()
            receiver.setblocking(False)
            sender.setblocking(False)
            WakeOnSignal._ends = (receiver, sender)
        receiver, sender = WakeOnSignal._ends
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        hub.add_reader(receiver.fileno(), self._drain, receiver)

    def _drain(self, receiver: socket.socket) -> None:
        try:
            receiver.recv(4096)
        except BlockingIOError:
            pass


class Consumer(StockConsumer):
    """The consumer that every worker of these settings has."""

    class Blueprint(StockConsumer.Blueprint):
        """The stock steps without the one for delayed delivery, and those that mend the hub."""

        default_steps = (
            *(step for step in StockConsumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")),
            ReadyFirst,
            WakeOnSignal,
        )

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes, with pauses that stay short."""
        stock = conn.ensure_connection

        def ensure_connection(errback: Any = None, max_retries: Any = None, **options: Any) -> Any:
            pauses = {"interval_start": RETRY_STEP, "interval_step": RETRY_STEP, "interval_max": RETRY_LONGEST}
            return stock(errback, max_retries, **{**options, **pauses})

        conn.ensure_connection = ensure_connection
        return super().ensure_connected(conn)
