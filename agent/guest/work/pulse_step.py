"""The bootstep that has an idle worker write its pulse, and looks whether its pool runs what it is given."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any

from celery import bootsteps
from celery.worker import state

from ..scoreboard import IDLE_BEAT
from .pulse import Account, active_requests, consumed, listed
from .standstill import Standstill, usage

# Seconds without a process to run tasks in, or with a task that none begins, after which it is told.
UNREADY = 3 * IDLE_BEAT
NOBODY_READY = "no process of its pool gets ready; see worker_process_init, and START_TIMEOUT"
NOBODY_BEGINS = "its pool has a place for a task, and does not begin it; kill what of its processes is stopped or hangs"


class PulseStep(bootsteps.StartStopStep):
    """Bootstep that beats while there is a consumer, so that an idle worker's silence means something."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    account: Account

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._timer: Any = None
        self._was_ready = 0.0  # by the monotonic clock, as the times of what waits
        self._waiting: dict[str, float] = {}  # tasks that the pool could begin, by their ids: since when
        self._due = 0.0
        self._standstill = Standstill()

    def start(self, consumer: Any) -> None:
        """Begin to beat."""
        self._was_ready = time.monotonic()
        self._due = self._was_ready + IDLE_BEAT
        self._timer = consumer.timer.call_repeatedly(IDLE_BEAT, self._beat, (consumer,))

    def stop(self, _consumer: Any) -> None:
        """Stop beating; the connection is lost, or the worker is going."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    shutdown = stop

    def _beat(self, consumer: Any) -> None:
        now, pool = time.monotonic(), consumer.pool
        if _is_ready(pool):
            self._was_ready = now
        self._waiting = {task: self._waiting.get(task, now) for task in _not_begun(pool)}
        obstacle = ""
        if now - self._was_ready > UNREADY:
            obstacle = NOBODY_READY
        elif now - min(self._waiting.values(), default=now) > UNREADY:
            obstacle = NOBODY_BEGINS
        lag, self._due = max(0.0, now - self._due), now + IDLE_BEAT
        self.account.looked(consumed(consumer), obstacle, round(lag, 3), self._standstill.look(_full(pool), now))


def pulse_step(account: Account) -> type[PulseStep]:
    """Return the bootstep for an account; Celery makes the instance, so the account is bound to a class."""
    return type("PulseStep", (PulseStep,), {"account": account})


def _is_ready(pool: Any) -> bool:
    """Say whether a pool has a process that takes tasks; those of other kinds than processes, and the embedded broker's, do."""
    inputs = getattr(getattr(pool, "_pool", None), "_fileno_to_inq", None)
    return inputs is None or bool(inputs)


def _full(pool: Any) -> Hashable:
    """Return what a pool runs that has no place left, and what CPU it has used; None where it has one, or can't tell."""
    running = frozenset(each.id for each in active_requests())
    used = usage(pool) if len(running) >= pool.num_processes else None
    return None if used is None else (running, used)


def _not_begun(pool: Any) -> list[str]:
    """Return the ids of the tasks that a pool has been given, has a place for, and has not begun."""
    active = set(active_requests())
    if len(active) >= pool.num_processes:
        return []
    reserved = listed(state.reserved_requests)
    return [each.id for each in reserved if each not in active and getattr(each, "_apply_result", None) is not None]
