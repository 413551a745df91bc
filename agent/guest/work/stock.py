"""Celery's own consumer and pool with those faults mended that change nothing for a project's own app.

What is left as Celery has it: what becomes of a message that no task can be made of, its delayed delivery, and how long a task
may take. `celery_delivery.worker.consumer` has the mends.
"""

from __future__ import annotations

from typing import Any

from celery.concurrency import ALIASES, prefork
from celery.exceptions import InvalidTaskError
from celery.utils.imports import symbol_by_name
from celery.worker.consumer import Consumer as StockConsumer

from celery_delivery import internals, mending
from celery_delivery.worker.consumer import Consumer
from celery_delivery.worker.hub import ReadyFirst, WakeOnSignal
from celery_delivery.worker.pool import PatientPool


class MendedConsumer(Consumer):
    """Celery's consumer, mended."""

    class Blueprint(StockConsumer.Blueprint):
        """Celery's steps, and those that mend the hub."""

        @property
        def default_steps(self) -> tuple[Any, ...]:
            """What Celery looks up when it makes a consumer."""
            return (*StockConsumer.Blueprint.default_steps, ReadyFirst, WakeOnSignal)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is called with each message; one that is delivered again and needs no new run is acked.

        One by which Celery's own would end the worker, each time that it is delivered again, is rejected.
        """
        stock = StockConsumer.create_task_handler(self, *args, **kwargs)
        knows_deliveries = mending.applies(internals.worker.REDELIVERIES)

        def handle(message: Any) -> None:
            try:
                if not (knows_deliveries and self._redeliveries.is_known(message, self.connection_errors)):
                    stock(message)
            except (*self.connection_errors, *self.channel_errors):
                raise
            except Exception as error:
                self.on_invalid_task(None, message, InvalidTaskError(f"no task can be made of it: {error!r}"))

        return handle

    on_decode_error = StockConsumer.on_decode_error
    on_invalid_task = StockConsumer.on_invalid_task
    on_unknown_task = StockConsumer.on_unknown_task


class MendedPool(prefork.TaskPool):
    """Celery's pool of processes, mended."""

    Pool = PatientPool


def consumer_of(setting: Any) -> Any:
    """Return the consumer's class for the setting `worker_consumer` of an app."""
    chosen = symbol_by_name(setting)
    return MendedConsumer if chosen is StockConsumer else chosen


def pool_of(setting: Any) -> Any:
    """Return the class of a pool of processes for the setting `worker_pool` of an app, which may name another kind."""
    # An alias is not looked up: some of the modules behind them patch the whole process when they are imported.
    chosen = prefork.TaskPool if setting in ALIASES else symbol_by_name(setting)
    if not issubclass(chosen, prefork.TaskPool):
        return MendedPool
    return MendedPool if chosen is prefork.TaskPool else chosen
