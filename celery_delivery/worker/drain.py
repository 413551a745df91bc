"""The end of a pool: while its tasks run to their ends, heartbeats go out, and acks as soon as there are some.

Stock Celery's loop stands still meanwhile, with threads, and before 5.7 with processes. The broker cuts the connection after
two heartbeats, the acks are lost, and each of the tasks runs again. Celery 5.6 sends heartbeats meanwhile, and no acks; 5.5 has
forgotten its timers by then.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from billiard.pool import CLOSE, RUN
from celery.concurrency import prefork
from celery.concurrency.prefork import TaskPool as ProcessPool
from celery.concurrency.thread import TaskPool as ThreadPool
from kombu.asynchronous import get_event_loop
from kombu.message import Message

TURN = 0.5  # seconds between two looks at timers and acks, as in Celery's prefork pool


def keep_up(consumer: Any, pool: Any) -> None:
    """Have a pool of threads, or of processes where Celery does not see to it, end like that."""
    if isinstance(pool, ThreadPool):
        pool.on_stop = partial(drain, consumer, pool.on_stop)
    elif isinstance(pool, ProcessPool) and not hasattr(prefork, "_run_ready_callbacks"):
        pool.on_stop = partial(drain, consumer, partial(_end_processes, pool))


def _end_processes(pool: Any) -> None:
    """Do what the pool's own method does, but for the loop's work."""
    if pool._pool is not None and pool._pool._state in {RUN, CLOSE}:
        pool._pool.close()
        pool._pool.join()
        pool._pool = None


def drain(consumer: Any, stop: Callable[[], None]) -> None:
    """Have a pool stop, which returns when its last task has ended, and do the loop's work until then.

    This thread is the connection's own, and goes on with it; another waits.
    """
    waiting = threading.Thread(target=stop, name="drain", daemon=True)
    waiting.start()
    beaten = time.monotonic()
    while waiting.is_alive():
        waiting.join(TURN)
        hub = get_event_loop()
        if hub is not None:  # a worker by a transport such as memory:// has none
            hub.fire_timers()
            settle(hub)
            beaten = _beat(consumer.connection, beaten)


def _beat(connection: Any, beaten: float) -> float:
    """Send a heartbeat where the last was sent half an interval ago; return when the last was sent."""
    if connection is None or not connection.supports_heartbeats or not connection.connected:
        return beaten
    interval, now = connection.connection.heartbeat, time.monotonic()
    if not interval or now < beaten + interval / 2:
        return beaten
    with suppress(OSError):  # the connection is lost, and its tasks are delivered again
        connection.connection.send_heartbeat()
    return now


def settle(hub: Any) -> None:
    """Have a hub send the acks and rejects that are ready, and nothing else: it might read messages that no pool would run."""
    ready = hub._pop_ready()
    while ready:
        callback = ready.pop()
        if not _settles(callback):
            hub.call_soon(callback)
            continue
        try:
            callback()
        except Exception as error:
            hub.on_callback_error(callback, error)


def _settles(callback: Any) -> bool:
    method = getattr(callback, "fun", None)
    name = getattr(method, "__name__", "")
    return isinstance(getattr(method, "__self__", None), Message) and name in {"ack_log_error", "reject_log_error"}
