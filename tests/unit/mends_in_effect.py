"""How each mend is seen to be in effect, by its name."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import celery
import kombu
from celery import _state, result
from celery.backends.base import Backend
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool as ProcessPool
from celery.concurrency.solo import TaskPool as SoloPool
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.result import EagerResult
from celery.worker.consumer import Consumer as StockConsumer
from celery.worker.request import Request as StockRequest
from kombu import compression
from kombu.asynchronous import Hub
from kombu.transport import filesystem, pyamqp

from celery_delivery.apps import create_app_from
from celery_delivery.broker.embedded_transport import Channel as EmbeddedChannel
from celery_delivery.broker.transport import Connection, Transport
from celery_delivery.coroutines.hosting import is_hosted
from celery_delivery.errors import UnknownTask, UnsupportedError
from celery_delivery.results.backends import _tolerant, backend
from celery_delivery.results.replies import ReplyBackend
from celery_delivery.results.tolerant import Tolerant
from celery_delivery.results.unreached import Unreached
from celery_delivery.sending.routing import Router
from celery_delivery.testing import StubBroker
from celery_delivery.worker.blame import blaming
from celery_delivery.worker.careful import Careful
from celery_delivery.worker.consumer import Consumer
from celery_delivery.worker.heart import Heart
from celery_delivery.worker.hub import ReadyFirst, WakeOnSignal
from celery_delivery.worker.pool import PatientPool
from celery_delivery.worker.revoked import Revoked
from celery_tasks.tasks import SleepTask


def app() -> Any:
    return celery.Celery("nobody", broker="memory://", set_as_current=False)


def step_is_included(step: Any) -> bool:
    return bool(step(None).include_if(None))


def revocations_are_read() -> bool:
    own = app()
    own.conf.update(delivery_profile="safe", worker_enable_remote_control=False)
    return Revoked(None).include_if(SimpleNamespace(app=own))


def solo_consumer() -> Any:
    return consumer(SoloPool(1))


def consumer(pool: Any) -> Any:
    controller = SimpleNamespace(use_eventloop=False)  # all that is asked of a worker
    return Consumer(run, pool=pool, app=app(), controller=controller)


def something_can_be_awaited() -> bool:
    create_app_from([SleepTask], "celery.app.defaults")
    eager: Any = EagerResult("an id", 7, "SUCCESS")
    with suppress(UnsupportedError):
        return bool(asyncio.run(eager.aget()) == 7)
    return False


def waiting_is_allowed_by_context() -> bool:
    result._set_task_join_will_block = _state._set_task_join_will_block
    solo_consumer()
    return result._set_task_join_will_block is not _state._set_task_join_will_block


def decompression_is_bounded() -> bool:
    compression.register(zlib.compress, zlib.decompress, "application/x-gzip")
    create_app_from([SleepTask], "celery.app.defaults")
    return compression.get_decoder("gzip") is not zlib.decompress


def heart_beats() -> bool:
    consumer = solo_consumer()
    return isinstance(getattr(getattr(consumer.on_task_request, "func", None), "__self__", None), Heart)


def drain_is_kept_up() -> bool:
    pool = ThreadPool(1)
    consumer(pool)
    return "on_stop" in vars(pool)


def frames_are_read_tolerantly() -> bool:
    connected = SimpleNamespace(supports_heartbeats=False)
    found = SimpleNamespace(
        supports_heartbeats=True, transport_options=None, ensure_connection=lambda *_, **__: connected
    )
    solo_consumer().ensure_connected(found)
    return bool(found.transport_options)


def starts_are_watched() -> bool:
    controller = SimpleNamespace(use_eventloop=False, _process_task=run, _quick_release=run)
    Consumer(run, pool=ProcessPool(1), app=app(), controller=controller)
    return controller._process_task is not run


def places_are_given_without_calls_within_calls() -> bool:
    controller = SimpleNamespace(use_eventloop=False, _quick_release=run)
    Consumer(run, pool=SoloPool(1), app=app(), controller=controller)
    return controller._quick_release is not run


def is_overridden(name: str, before: str) -> bool:
    """Say whether a method of the consumer is ours; before: its name in an older Celery, where there is none of the first."""
    found = name if hasattr(StockConsumer, name) else before
    return getattr(Consumer, found) is not getattr(StockConsumer, found)


def run(_request: object) -> None: ...


def pauses_are_shortened() -> bool:
    connection = kombu.Connection("memory://")
    consumer = solo_consumer()
    consumer.ensure_connected(connection)
    return "ensure_connection" in vars(connection)


def signals_are_looked_for() -> bool:
    consumer = solo_consumer()
    hub = Hub()
    consumer.blueprint.send_all = lambda *_args, **_options: None  # the steps have nothing to register
    try:
        consumer.register_with_event_loop(hub)
        return bool(hub.on_tick)
    finally:
        hub.close()


def steps() -> list[str]:
    return [str(step) for step in Consumer.Blueprint().types]


def rpc_backend() -> Any:
    made = app()
    made.conf.result_backend = "rpc://"
    return backend(made)


def redis_backend() -> Any:
    made = app()
    made.conf.result_backend = "redis://"
    _tolerant.cache_clear()
    return backend(made)


def a_group_is_looked_at_first() -> bool:
    app = create_app_from([SleepTask], "celery.app.defaults", contracts="")
    with StubBroker() as broker, suppress(UnknownTask):
        celery.group([*[app.signature("sleep", (1,))] * 3, app.signature("no such task")], app=app).apply_async()
    return not broker.messages("sleep")


def a_coroutine_is_run() -> bool:
    async def run(_self: celery.Task) -> None: ...

    task = type("Async", (celery.Task,), {"name": "async", "run": run})
    return is_hosted(create_app_from([task], "celery.app.defaults").tasks["async"].run)


IN_EFFECT: dict[str, Callable[[], bool]] = {
    "ready first": lambda: step_is_included(ReadyFirst),
    "wake on signal": lambda: step_is_included(WakeOnSignal),
    "whole writes": signals_are_looked_for,
    "drain": drain_is_kept_up,
    "heart": heart_beats,
    "frames": frames_are_read_tolerantly,
    "starts": starts_are_watched,
    "short pauses": pauses_are_shortened,
    "no delayed delivery": lambda: not any(step.endswith(":DelayedDelivery") for step in steps()),
    "dead letters": lambda: any(
        getattr(Consumer, name) is not getattr(StockConsumer, name)
        for name in ("create_task_handler", "on_decode_error", "on_invalid_task", "on_unknown_task")
    ),
    "hooks": lambda: hasattr(create_app_from([SleepTask], "celery.app.defaults").tasks["sleep"].run, "__wrapped__"),
    "certain outcomes": lambda: (
        create_app_from([SleepTask], "celery.app.defaults").tasks["sleep"].Request != celery.Task.Request
    ),
    "blame": lambda: blaming(StockRequest) is not StockRequest,
    "careful": lambda: step_is_included(Careful),
    "coroutines": a_coroutine_is_run,
    "slots": places_are_given_without_calls_within_calls,
    "plain outcomes": lambda: "apply_async" in vars(solo_consumer().pool),
    "revoked": revocations_are_read,
    "redeliveries": lambda: is_overridden("call_soon_ack", "call_soon"),
    "cold shutdown": lambda: is_overridden("cancel_active_requests", "cancel_all_unacked_requests"),
    "lost connection": lambda: (
        Consumer.on_connection_error_after_connected is not StockConsumer.on_connection_error_after_connected
    ),
    "patient pool": lambda: PatientPool.flush is not AsynPool.flush,
    "ending children": lambda: PatientPool._event_process_exit is not AsynPool._event_process_exit,
    "ended children": lambda: PatientPool.TimeoutHandler.on_hard_timeout is not AsynPool.TimeoutHandler.on_hard_timeout,
    "embedded messages": lambda: EmbeddedChannel._put is not filesystem.Channel._put,
    "reading": lambda: Connection.drain_events is not pyamqp.Connection.drain_events,
    "TLS": lambda: Transport.establish_connection is not pyamqp.Transport.establish_connection,
    "replies": lambda: isinstance(rpc_backend(), ReplyBackend),
    "results on demand": lambda: hasattr(redis_backend().result_consumer, "_wanted"),
    "sizes": decompression_is_bounded,
    "built-in tasks": lambda: "celery.chord" not in create_app_from([SleepTask], "celery.app.defaults").tasks,
    "faithful exceptions": lambda: isinstance(
        rpc_backend().exception_to_python({"exc_type": "JSONDecodeError", "exc_module": "json.decoder"}),
        json.JSONDecodeError,
    ),
    "retries": lambda: hasattr(create_app_from([SleepTask], "celery.app.defaults").tasks["sleep"].retry, "__wrapped__"),
    "awaited": something_can_be_awaited,
    "waits": waiting_is_allowed_by_context,
    "unreached groups": lambda: Unreached.mark_as_failure is not Backend.mark_as_failure,
    "routes": lambda: isinstance(create_app_from([SleepTask], "celery.app.defaults").amqp.router, Router),
    "workflows": a_group_is_looked_at_first,
    "errbacks": lambda: rpc_backend()._call_task_errbacks.__func__ is not Backend._call_task_errbacks,
    "tolerant results": lambda: Tolerant.store_result is not Backend.store_result,
    "arguments": lambda: hasattr(create_app_from([SleepTask], "celery.app.defaults").tasks["sleep"], "__header__"),
}
