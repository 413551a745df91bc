"""What the library leans on inside Celery and its packages: all of it is there, and a mend that misses something is off."""

from __future__ import annotations

import ast
import functools
import json
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import amqp
import celery
import kombu
import pytest
from celery.backends.base import Backend
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool as ProcessPool
from celery.concurrency.solo import TaskPool as SoloPool
from celery.concurrency.thread import TaskPool as ThreadPool
from celery.worker.consumer import Consumer as StockConsumer
from kombu import compression
from kombu.asynchronous import Hub
from kombu.transport import pyamqp

from celery_delivery import internals, mending
from celery_delivery.apps import create_app_from
from celery_delivery.broker.transport import Transport
from celery_delivery.errors import UnknownTask, UnsupportedError
from celery_delivery.internals import unswitched
from celery_delivery.internals.mend import MEASURED, Mend
from celery_delivery.results.backends import _tolerant, backend
from celery_delivery.results.replies import ReplyBackend
from celery_delivery.results.tolerant import Tolerant
from celery_delivery.sending.confirms import Confirms
from celery_delivery.sending.routing import Router
from celery_delivery.testing import StubBroker
from celery_delivery.worker.consumer import Consumer
from celery_delivery.worker.hub import ReadyFirst, WakeOnSignal
from celery_delivery.worker.pool import PatientPool
from celery_tasks.tasks import SleepTask

LIBRARY = Path(mending.__file__).parent
SETTINGS = "celery_tasks.celery_config"
EVERY_MEND = pytest.mark.parametrize("mend", internals.OPTIONAL, ids=lambda mend: mend.name)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """What one test made of the installed packages is not true in the next."""
    mending.applies.cache_clear()
    mending.obstacle.cache_clear()
    yield
    mending.applies.cache_clear()
    mending.obstacle.cache_clear()


def app() -> Any:
    return celery.Celery("nobody", broker="memory://", set_as_current=False)


def step_is_included(step: Any) -> bool:
    return bool(step(None).include_if(None))


def solo_consumer() -> Any:
    return consumer(SoloPool(1))


def consumer(pool: Any) -> Any:
    controller = SimpleNamespace(use_eventloop=False)  # all that is asked of a worker
    return Consumer(run, pool=pool, app=app(), controller=controller)


def decompression_is_bounded() -> bool:
    compression.register(zlib.compress, zlib.decompress, "application/x-gzip")
    create_app_from([SleepTask], "celery.app.defaults")
    return compression.get_decoder("gzip") is not zlib.decompress


def heart_beats() -> bool:
    consumer = solo_consumer()
    return bool(getattr(consumer.on_task_request, "func", None) == consumer._run_with_heart)


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
    "slots": places_are_given_without_calls_within_calls,
    "plain outcomes": lambda: "apply_async" in vars(solo_consumer().pool),
    "redeliveries": lambda: Consumer.call_soon_ack is not StockConsumer.call_soon_ack,
    "cold shutdown": lambda: Consumer.cancel_active_requests is not StockConsumer.cancel_active_requests,
    "lost connection": lambda: (
        Consumer.on_connection_error_after_connected is not StockConsumer.on_connection_error_after_connected
    ),
    "patient pool": lambda: PatientPool.flush is not AsynPool.flush,
    "ended children": lambda: PatientPool.TimeoutHandler.on_hard_timeout is not AsynPool.TimeoutHandler.on_hard_timeout,
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
    "unreached groups": lambda: rpc_backend()._fail_chain.__func__ is not Backend._fail_chain,
    "routes": lambda: isinstance(create_app_from([SleepTask], "celery.app.defaults").amqp.router, Router),
    "workflows": a_group_is_looked_at_first,
    "errbacks": lambda: rpc_backend()._call_task_errbacks.__func__ is not Backend._call_task_errbacks,
    "tolerant results": lambda: Tolerant.store_result is not Backend.store_result,
    "arguments": lambda: hasattr(create_app_from([SleepTask], "celery.app.defaults").tasks["sleep"], "__header__"),
}


@pytest.mark.parametrize(
    "mend", [*internals.REQUIRED, *internals.OPTIONAL, unswitched.AGENT, unswitched.TESTING], ids=lambda mend: mend.name
)
def test_all_that_a_mend_needs_is_in_the_installed_packages(mend: Mend) -> None:
    assert mending.obstacle(mend) is None


@pytest.mark.parametrize(
    "name",
    [
        "celery.no_such_module:Thing",
        "celery.worker.consumer.consumer:NoSuchConsumer",
        "celery.worker.consumer.consumer:Consumer.no_such_method",
        "kombu.asynchronous.hub:Hub.call_soon._no_such_attribute",
        "celery.app.base:Celery.producer_pool.no_such_attribute",
    ],
)
def test_a_name_that_is_gone_is_missed(name: str) -> None:
    assert mending.obstacle(Mend("a mend", (name,), "it is not mended")) == f"there is no {name}"


def test_a_function_that_something_has_wrapped_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    original = celery.Celery.send_task
    wrapped = functools.wraps(original)(lambda *args, **options: (args, options))
    monkeypatch.setattr(celery.Celery, "send_task", wrapped)
    assert mending._exists("celery.app.base:Celery.send_task.producer_or_acquire")
    assert not mending._exists("celery.app.base:Celery.send_task.no_such_name")


def test_a_function_that_something_has_put_in_the_place_of_celery_s_counts_as_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(celery.Celery, "send_task", lambda *args, **options: (args, options))
    assert mending._exists("celery.app.base:Celery.send_task.producer_or_acquire")


def test_a_method_that_is_renamed_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(StockConsumer, "cancel_active_requests")
    assert not mending.applies(internals.worker.COLD_SHUTDOWN)


@EVERY_MEND
def test_a_mend_is_in_effect(mend: Mend) -> None:
    assert IN_EFFECT[mend.name]()


@EVERY_MEND
def test_a_mend_whose_name_is_gone_is_off_and_says_so_once(
    mend: Mend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exists = mending._exists
    monkeypatch.setattr(mending, "_exists", lambda name: name != mend.names[-1] and exists(name))
    assert not IN_EFFECT[mend.name]()
    assert not IN_EFFECT[mend.name]()
    assert [
        record.getMessage() for record in caplog.records if record.getMessage().startswith(f"The mend '{mend.name}'")
    ] == [f"The mend {mend.name!r} is off, because there is no {mend.names[-1]}: {mend.without}"]


@EVERY_MEND
@pytest.mark.parametrize("measured", [((1, 0), (1, 1)), ((99, 0), (99, 1))], ids=["newer", "older"])
def test_a_mend_is_off_on_a_release_that_was_not_measured(
    mend: Mend,
    measured: tuple[tuple[int, int], tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    package = mend.names[0].partition(".")[0]
    monkeypatch.setitem(MEASURED, package, measured)
    assert not IN_EFFECT[mend.name]()
    assert f"because {package} " in caplog.text


@pytest.mark.parametrize("package", ["celery", "kombu", "amqp"])
def test_an_app_that_could_not_confirm_is_refused(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURED, package, ((1, 0), (1, 1)))
    with pytest.raises(UnsupportedError, match=rf"the safe profile can't keep its promise, because {package} \d.*1\.0"):
        create_app_from([SleepTask], SETTINGS)


def test_the_article_s_profile_promises_nothing_and_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURED, "amqp", ((1, 0), (1, 1)))
    create_app_from([SleepTask], "celery.app.defaults")


def test_a_channel_that_could_not_confirm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    exists = mending._exists
    monkeypatch.setattr(mending, "_exists", lambda name: not name.endswith("confirm_select") and exists(name))
    with pytest.raises(UnsupportedError, match="there is no amqp.channel:Channel.confirm_select"):
        Confirms(amqp.Connection())


def test_the_library_asks_for_the_releases_that_were_measured() -> None:
    asked = tomllib.loads((LIBRARY / "pyproject.toml").read_text())["project"]["dependencies"]
    assert asked == [
        f"{package}>={'.'.join(map(str, first))},<{'.'.join(map(str, end))}"
        for package, (first, end) in MEASURED.items()
    ]


def test_what_is_private_to_others_is_named_in_one_module() -> None:
    """A private name that is neither the library's own nor in the table could be renamed without anybody noticing."""
    used, own = set(), set()
    for path in LIBRARY.rglob("*.py"):
        text = path.read_text()
        own |= set(
            re.findall(r"(?:def |self\.|^\s*|class )(_[a-z_]+)\b(?=\(|:| =|, )", text, re.MULTILINE | re.IGNORECASE)
        )
        used |= {
            node.attr
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        }
    mends = (*internals.REQUIRED, *internals.OPTIONAL, unswitched.AGENT, unswitched.TESTING)
    named = {re.split(r"[.:]", name)[-1] for mend in mends for name in mend.names}
    assert used - own - named == {"_exit"}  # of os, whose docs have it
