"""Celery's consumer with its faults mended; in use through the setting `worker_consumer`.

    fault of the stock consumer                                   seen as                               mend
    ------------------------------------------------------------  ------------------------------------  ----------------
    the hub polls for up to 10 s while callbacks are ready,       a solo worker with a small prefetch   ReadyFirst
    acks among them (celery #6941, kombu PR #1587)                runs 1 task/s instead of 2,000
    a signal does not end the poll (PEP 475 restarts it)          SIGTERM of an idle worker: 4 to 8 s   WakeOnSignal
    the pause between connection attempts grows to 30 s and       20 s without a consumer after the     ensure_connected
    has no setting                                                broker is back
    a cold shutdown asks every pool to end its tasks, which       SIGQUIT of a solo worker: its task     cancel_active_...
    threads and solo can't (NotImplementedError)                  fails by that error, and is acked
    a lost connection asks them the same                          before 5.7 a worker of threads ends   leave_all
    what the broker refuses, such as a queue that is there with   11 log lines a second, for ever        on_refused
    other arguments, is asked for again at once; and so is who     22 log lines a second                  on_connection_...
    it does not let in, as with a wrong password
    tasks that a lost connection ends are reported to the         10 s without an attempt to connect,     on_connection_...
    result backend, through the broker that is away               for each task that ran
    quorum queues make it declare 28 queues for delayed tasks     a quorum leader killed: 18 s without   Blueprint
    at each connection (`queues` has what delays need)            a consumer, 17 of them for these
    a message that can't be decoded, and a wrong signature, are   a task that is gone, or a worker that  create_task_handler,
    acked; others end the worker, again and again                 keeps dying                            on_decode_error,
                                                                                                         claims, starts
    properties that can't be decoded end the worker, or the       the same, with all that it has         frames
    connection                                                    prefetched
    a false x-death of a client                                   dead letters of all queues stop         deaths
    a message's time limits win over the worker's                 a task that no limit ends               Ceilings
    a task that is due later is kept                              nothing else runs for hours             Early
    SIGQUIT is handled in the middle of a frame, or of a job for  a worker that waits for itself for    WholeWrites
    a pool's process                                              ever: 1 signal in 3 under load
    a thread pool looks no more at what waits in it, and raises   a task that runs though its time is    threads
    where it can start no more threads                            over, or though it was refused
    what gets past the tracer, or is not to be read, is nobody's  the queue stands still, or ends it     plain_outcomes
    500 tasks that have expired are 1,000 calls within calls      a worker that ends                    spare_the_stack
    no heartbeats while a solo task runs                          a task of 30 s is cut off, runs again  Heart
    no heartbeats and no acks while a pool stops                  a stop of 30 s: its tasks run again    drain
    what is delivered again after a lost connection is run again  a task runs twice at once              Redeliveries

The figures were measured with Celery 5.7.0; 5.5 and 5.6 have the same faults, and more. `celery_delivery.internals` has what
each mend needs of Celery; one that lacks it is off, and Celery's own behaviour stays.
`tests/integration/test_celery_mends.py` fails without each of them.
"""

import time
from functools import partial
from typing import Any

from amqp.exceptions import ChannelError, NotFound
from celery.concurrency.base import BasePool
from celery.concurrency.solo import TaskPool as SoloPool
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.exceptions import InvalidTaskError, WorkerTerminate
from celery.platforms import EX_FAILURE
from celery.utils import objects
from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import Consumer as StockConsumer
from kombu.exceptions import ContentDisallowed, DecodeError

from celery_delivery import internals, mending
from celery_delivery.coroutines import hosting
from celery_delivery.results import waits
from celery_delivery.settings.profile import is_safe
from celery_delivery.worker import cancelled, claims, deaths, frames, pauses
from celery_delivery.worker.blame import blame
from celery_delivery.worker.ceilings import Ceilings
from celery_delivery.worker.drain import keep_up
from celery_delivery.worker.early import Early
from celery_delivery.worker.heart import Heart
from celery_delivery.worker.hub import ReadyFirst, WakeOnSignal
from celery_delivery.worker.incoming import Signatures, Times
from celery_delivery.worker.outcomes import plain_outcomes
from celery_delivery.worker.redeliveries import Redeliveries
from celery_delivery.worker.revoked import Revoked
from celery_delivery.worker.slots import spare_the_stack
from celery_delivery.worker.starts import refusing
from celery_delivery.worker.threads import taking
from celery_delivery.worker.writes import WholeWrites

# Seconds between attempts where the broker is there, and refuses; each pause is twice the one before.
REFUSED_LONGEST = 10.0
SOON = 8  # attempts without longer pauses where a queue is not found: one whose leader was killed has none for 3 s

_log = get_logger(__name__)


class Consumer(StockConsumer):
    """The consumer that every worker of these settings has."""

    class Blueprint(StockConsumer.Blueprint):
        """The stock steps without the one for delayed delivery, and those that mend the hub."""

        @property
        def default_steps(self) -> tuple[Any, ...]:
            """What Celery looks up when it makes a consumer."""
            steps = StockConsumer.Blueprint.default_steps
            if mending.applies(internals.worker.NO_DELAYED_DELIVERY):
                steps = (step for step in steps if not step.endswith(":DelayedDelivery"))
            return (*steps, ReadyFirst, WakeOnSignal, Revoked)

    def __init__(self, on_task_request: Any, *args: Any, pool: Any = None, **kwargs: Any) -> None:
        """Have heartbeats go out while a task runs in the loop's own thread, and while threads end theirs."""
        run = on_task_request
        if mending.applies(internals.worker.STARTS):
            run = refusing(self, run, pool, kwargs.get("controller"))
        if mending.applies(internals.worker.REDELIVERIES):
            run = partial(self._give, run)
        if isinstance(pool, SoloPool) and mending.applies(internals.worker.HEART):
            run = Heart().beating(self, run)
        if isinstance(pool, ThreadPool) and mending.applies(internals.worker.OUTCOMES):
            pool.apply_async = taking(pool)
        if mending.applies(internals.worker.DRAIN):
            keep_up(self, pool)
        self._signatures, self._times = Signatures(), Times()
        self._refused: int | None = 0  # attempts in a row; None while there is a consumer
        self._writes = WholeWrites(pool)
        if pool is not None and mending.applies(internals.worker.OUTCOMES):
            pool.apply_async = plain_outcomes(pool.apply_async)
        if mending.applies(internals.worker.SLOTS):
            spare_the_stack(kwargs.get("controller"))
        if mending.applies(internals.client.WAITS):
            waits.by_context()
        if not kwargs["app"].conf.worker_enable_remote_control:
            kwargs["without_mingle"] = True  # it would ask the other workers, none of which hears it
        super().__init__(run, *args, pool=pool, **kwargs)
        blame.consumer = self
        hosting.host_all(self.app)
        if isinstance(pool, SoloPool | ThreadPool):
            hosting.enforce_limits()
        self.redeliveries = Redeliveries(self.initial_prefetch_count or 1, pool)

    def _give(self, run: Any, request: Any) -> None:
        self.redeliveries.given(request)
        run(request)

    @mending.where(internals.worker.DEAD_LETTERS)
    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is called with each message; one that no task can be made of is rejected."""
        stock = super().create_task_handler(*args, **kwargs)
        knows_deliveries = mending.applies(internals.worker.REDELIVERIES)
        self.task_consumer.channel.auto_decode = False  # a message may name an encoding that takes hours
        ceilings, early = Ceilings.of(self.pool), Early(self)

        def handle(message: Any) -> None:
            try:
                self._signatures.check(self.app.tasks, message)
                claims.check(self.app, message)
                ceilings.hold(self.app.tasks, message)
                self._times.settle(message)
                seconds = early.seconds(message)
                if knows_deliveries and self.redeliveries.is_known(message, self.connection_errors):
                    return
                if seconds:
                    early.give(message, seconds, stock)
                else:
                    stock(message)
            except (InvalidTaskError, ContentDisallowed) as error:
                self.on_invalid_task(None, message, error)
            except DecodeError as error:
                self.on_decode_error(message, error)
            except Exception as error:  # whatever it is that one message raises costs none but that one
                self.on_invalid_task(None, message, InvalidTaskError(f"no task can be made of it: {error!r}"))

        return deaths.guarded(self, handle)

    def queue_of(self, message: Any) -> Any:  # noqa: ARG002 - all messages come by one queue here
        """Return the safe queue that a message came by, None where it is another kind."""
        return self.app.amqp.queues.get(self.app.conf.task_default_queue) if is_safe(self.app.conf) else None

    @mending.where(internals.worker.REDELIVERIES)
    def call_soon_ack(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        """Have a message acked or rejected, or the one that took its place."""
        return super().call_soon_ack(self.redeliveries.settled(method), *args, **kwargs)

    @mending.where(internals.worker.REDELIVERIES)
    def call_soon(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        """Do the same, as Celery before 5.7 calls it; its other callbacks are no methods of messages."""
        return super().call_soon(self.redeliveries.settled(method), *args, **kwargs)

    @mending.where(internals.worker.DEAD_LETTERS)
    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject what can't be decoded."""
        kind = (message.content_type, message.content_encoding)
        _log.critical("Rejected a message that can't be decoded (type %r, encoding %r): %r", *kind, exc)
        deaths.reject(self, message)

    @mending.where(internals.worker.DEAD_LETTERS)
    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject it, and tell whoever waits for a result."""
        super().on_invalid_task(body, message, exc)
        headers, properties = message.headers or {}, message.properties or {}
        if isinstance(headers.get("id"), str):
            request = objects.Bunch(
                name=headers.get("task"),
                root_id=headers.get("root_id"),
                correlation_id=properties.get("correlation_id"),
                reply_to=properties.get("reply_to"),
                chord=None,
                errbacks=None,
            )
            self._tell(partial(self.app.backend.mark_as_failure, headers["id"], exc, request=request))

    @mending.where(internals.worker.DEAD_LETTERS)
    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject it, and tell whoever waits for a result."""
        self._tell(partial(super().on_unknown_task, body, message, exc))

    def _tell(self, tell: Any) -> None:
        try:
            tell()
        except Exception:  # the message is rejected; that a result can't be stored must not end the worker
            _log.exception("The result of a rejected task could not be stored")

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes, with pauses that stay short."""
        self._writes.catch_up()  # there is no loop now that would
        if mending.applies(internals.worker.SHORT_PAUSES):
            pauses.shorten(conn)
        options = conn.transport_options
        if conn.supports_heartbeats and mending.applies(internals.worker.FRAMES):
            conn.transport_options = {**(options or {}), "frame_handler": frames.tolerant}
        connected = super().ensure_connected(conn)
        connected.transport_options = options  # remote control sends them as JSON: `inspect stats`
        if connected.supports_heartbeats and mending.applies(internals.worker.WHOLE_WRITES):  # embedded: no frames
            self._writes.guard(connected.connection)
            self._writes.hold_signals()
        return connected

    def register_with_event_loop(self, hub: Any) -> None:
        """Have the loop look at each turn for signals that have waited."""
        super().register_with_event_loop(hub)
        if mending.applies(internals.worker.WHOLE_WRITES):
            hub.on_tick.add(self._writes.catch_up)

    @mending.where(internals.worker.LOST_CONNECTION)
    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """End what can't be acked any more, and tell nobody: it is not a failure, the broker delivers it again."""
        if self.app.conf.worker_cancel_long_running_tasks_on_connection_loss:
            cancelled.end_all(self.pool) if self.can_end_tasks else cancelled.leave_all()
        super().on_connection_error_after_connected(exc)
        if self._refused is None or not isinstance(exc, ChannelError):
            self._refused = 0
            return
        self._wait(exc)

    @mending.where(internals.worker.LOST_CONNECTION)
    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Wait: what comes here is no broker that is away, but one that refuses the worker, as for a wrong password."""
        super().on_connection_error_before_connected(exc)
        self._wait(exc)

    def _wait(self, exc: Exception) -> None:
        """Wait before the broker is asked again for what it has refused, longer and longer."""
        refused = self._refused or 0
        if refused == 0:
            self.on_refused(str(exc))
        soon = SOON if isinstance(exc, NotFound) else 0
        pause = min(pauses.STEP * 2 ** max(0, refused - soon), REFUSED_LONGEST)
        self._refused = min(refused + 1, 20)
        deadline = time.monotonic() + pause
        while time.monotonic() < deadline:
            state.maybe_shutdown()
            time.sleep(min(pauses.STEP, pause))

    def on_refused(self, reason: str) -> None:
        """Tell, once, why the broker refuses what a consumer needs; it is asked again, less and less often."""
        _log.error("The broker refuses what this worker needs: %s", reason)

    def on_ready(self) -> None:
        """Note that there is a consumer: what the broker refuses from now on, it has given before."""
        self._refused = None
        super().on_ready()

    @mending.where(internals.worker.COLD_SHUTDOWN)
    def cancel_active_requests(self) -> None:
        """End what is running, for a cold shutdown, where the pool can; it has not been acked, and is delivered again.

        The solo pool runs its task below this signal handler: leaving through it ends the task, and its `finally` clauses
        are run. A thread can't be ended: its tasks go on until they end, or until whoever wants the worker gone kills it.
        Coroutines, for which a thread only waits, can.
        """
        (super().cancel_active_requests if self.can_end_tasks else self._leave_solo_task)()

    @mending.where(internals.worker.COLD_SHUTDOWN)
    def cancel_all_unacked_requests(self) -> None:
        """Do the same, as Celery before 5.6 calls it."""
        (super().cancel_all_unacked_requests if self.can_end_tasks else self._leave_solo_task)()

    def _leave_solo_task(self) -> None:
        if isinstance(self.pool, SoloPool) and state.active_requests:
            state.should_terminate = EX_FAILURE  # before 5.7 what is raised here keeps Celery's handler from it
            raise WorkerTerminate(EX_FAILURE)
        running = tuple(state.active_requests)
        hosting.give_back({each.id for each in running if not (each.task.acks_late and each.acknowledged)})

    @property
    def can_end_tasks(self) -> bool:
        """Whether the pool can end a task that runs."""
        # A prefork pool gets the method when it has started: it is that of billiard's pool.
        return getattr(self.pool.terminate_job, "__func__", None) is not BasePool.terminate_job
