"""Celery's own consumer and pool with those faults mended that change nothing for a project's own app.

What is left as Celery has it: what becomes of a message that no task can be made of, its delayed delivery, and how long a task
may take. `celery_delivery.worker.consumer` has the mends.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.concurrency import ALIASES, prefork
from celery.utils.imports import symbol_by_name
from celery.worker.consumer import Consumer as StockConsumer

from celery_delivery.worker.ceilings import Ceilings
from celery_delivery.worker.consumer import Consumer
from celery_delivery.worker.hub import ReadyFirst, WakeOnSignal
from celery_delivery.worker.plain import plain_handler
from celery_delivery.worker.pool import MendedPool

from ..spec import WorkerSpec


class MendedConsumer(Consumer):
    """Celery's consumer, mended."""

    class Blueprint(StockConsumer.Blueprint):
        """Celery's steps, and those that mend the hub."""

        @property
        def default_steps(self) -> tuple[Any, ...]:
            """What Celery looks up when it makes a consumer."""
            return (*StockConsumer.Blueprint.default_steps, ReadyFirst, WakeOnSignal)

    holds_limits = False

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is called with each message."""
        hold = partial(Ceilings.of(self.pool).hold_limits, self.app.tasks) if self.holds_limits else None
        return plain_handler(self, hold, *args, **kwargs)

    on_decode_error = StockConsumer.on_decode_error
    on_invalid_task = StockConsumer.on_invalid_task
    on_unknown_task = StockConsumer.on_unknown_task


class LimitedConsumer(MendedConsumer):
    """The same where the env file sets a time limit: the app's own, which its producers send along, gives way to it."""

    holds_limits = True


def consumer_of(setting: Any, spec: WorkerSpec) -> Any:
    """Return the consumer's class for the setting `worker_consumer` of an app."""
    chosen = symbol_by_name(setting)
    if chosen is not StockConsumer:
        return chosen
    return MendedConsumer if spec.time_limit is None and spec.soft_time_limit is None else LimitedConsumer


def limit(worker: Any, spec: WorkerSpec) -> None:
    """Have time limits that tasks have from the app's settings give way to those of the env file; what is a task's own stays.

    A soft limit of the app's that is not below the hard one goes too: a pool of Celery's looks at the hard one after it.
    """
    conf = worker.app.conf
    soft, hard = conf.task_soft_time_limit, spec.time_limit
    is_soft_left = spec.soft_time_limit is None and not (soft and hard and soft >= hard)
    if not is_soft_left:
        worker.soft_time_limit = spec.soft_time_limit
    for task in worker.app.tasks.values():
        if hard is not None and task.time_limit == conf.task_time_limit:
            task.time_limit = None
        if not is_soft_left and task.soft_time_limit == soft:
            task.soft_time_limit = None
        vars(task).pop("_exec_options", None)  # what Celery keeps of them, to send along


def pool_of(setting: Any) -> Any:
    """Return the class of a pool of processes for the setting `worker_pool` of an app, which may name another kind."""
    # An alias is not looked up: some of the modules behind them patch the whole process when they are imported.
    chosen = prefork.TaskPool if setting in ALIASES else symbol_by_name(setting)
    if not issubclass(chosen, prefork.TaskPool):
        return MendedPool
    return MendedPool if chosen is prefork.TaskPool else chosen
