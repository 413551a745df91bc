"""What an app with `make_safe` is, whatever the order of its lines, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery
from celery.app.amqp import AMQP
from kombu import Exchange, Queue
from kombu.common import Broadcast

from celery_delivery.adopted.queues import SafeQueue
from celery_delivery.adopted.tasks import twin
from celery_delivery.apps import App
from celery_delivery.errors import SettingError
from celery_delivery.existing import make_safe

AMQP_URL = "amqp://guest:guest@localhost//"


def app_with(settings: dict[str, Any], before: Callable[[Celery], None], after: Callable[[Celery], None]) -> Celery:
    """Return an app of which some lines stand before `make_safe` and some after it."""
    app = Celery("proj", broker=AMQP_URL, set_as_current=False)
    before(app)
    make_safe(app)
    after(app)
    app.conf.update(settings)

    @app.task(name="mail", shared=False)  # type: ignore[untyped-decorator]
    def mail() -> None: ...

    @app.task(name="early", acks_late=False, shared=False)  # type: ignore[untyped-decorator]
    def early() -> None: ...

    return app


def configure(app: Celery) -> None:
    """Do what `config_from_object` does."""
    app.config_from_object({"broker_url": AMQP_URL, "task_routes": {"mail": "mail"}, "task_default_queue": "main"})


def look(app: Celery) -> None:
    """Read a setting, by which the app's settings are loaded."""
    configure(app)
    assert app.conf.task_default_queue == "main"


def nothing(_app: Celery) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("before", "after"), [(configure, nothing), (nothing, configure), (look, nothing), (nothing, look), (look, look)]
)
def test_settings_may_come_before_or_after(before: Callable[[Celery], None], after: Callable[[Celery], None]) -> None:
    app = app_with({}, before, after)
    queue = app.amqp.router.route({}, "mail")["queue"]
    assert (queue.name, queue.queue_arguments["x-dead-letter-routing-key"]) == ("mail.safe", "mail.safe.dead")
    assert app.amqp.queues["main"].name == "main.safe"
    assert twin(app.tasks["mail"], None).acks_late is True
    assert app.conf.broker_heartbeat == 10


def test_a_task_that_says_itself_when_it_is_acked_keeps_its_word() -> None:
    app = app_with({}, nothing, configure)
    assert (twin(app.tasks["early"], None).acks_late, twin(app.tasks["mail"], None).reject_on_worker_lost) == (
        False,
        True,
    )
    assert not app.tasks["mail"].acks_late


def test_own_settings_win() -> None:
    app = app_with({"task_acks_late": False, "worker_prefetch_multiplier": 9}, nothing, configure)
    assert not twin(app.tasks["mail"], None).acks_late
    assert app.conf.worker_prefetch_multiplier == 9


def test_own_transport_options_are_added_to() -> None:
    app = app_with({}, lambda app: app.conf.update(broker_transport_options={"read_timeout": 1}), nothing)
    options = app.conf.broker_transport_options
    assert (options["read_timeout"], options["write_timeout"]) == (1, 5.0)


def test_a_broadcast_and_a_topic_exchange_stay_as_they_are() -> None:
    queues = [Broadcast("news"), Queue("media", Exchange("media", "topic"), routing_key="media.#"), Queue("mail")]
    app = app_with({"task_queues": queues}, nothing, nothing)
    found = app.amqp.queues
    assert [isinstance(found[name], SafeQueue) for name in ("news", "media", "mail")] == [False, False, True]


def test_only_the_named_queues_are_safe() -> None:
    app = Celery("proj", broker=AMQP_URL, set_as_current=False)
    make_safe(app, queues=["mail"])
    assert [app.amqp.queues[name].name for name in ("mail", "other")] == ["mail.safe", "other"]


def test_a_queue_may_keep_its_name() -> None:
    app = Celery("proj", broker=AMQP_URL, set_as_current=False)
    make_safe(app, suffix="")
    assert app.amqp.queues["mail"].queue_arguments["x-dead-letter-routing-key"] == "mail.dead"


def test_a_queue_is_found_by_the_broker_s_name_too() -> None:
    app = app_with({}, nothing, configure)
    assert app.amqp.queues["mail.safe"] is app.amqp.queues["mail"]


def test_the_line_may_be_said_twice() -> None:
    app = Celery("proj", broker=AMQP_URL, set_as_current=False)
    make_safe(app)
    make_safe(app)


def test_in_memory_it_has_no_effect() -> None:
    app = Celery("proj", broker="memory://", set_as_current=False)
    make_safe(app)
    assert type(app.amqp) is AMQP
    assert not isinstance(app.amqp.queues["mail"], SafeQueue)


def with_task(app: Celery) -> None:
    """Make a task, and use it."""

    @app.task(name="used", lazy=False, shared=False)  # type: ignore[untyped-decorator]
    def used() -> None: ...


@pytest.mark.parametrize(
    ("before", "options", "said"),
    [
        (nothing, {"queues": []}, r"queues is \[\], and must be a list of names"),
        (nothing, {"queues": "mail"}, "queues is 'mail', and must be a list of names"),
        (nothing, {"queues": [3]}, r"queues is \[3\]"),
        (nothing, {"suffix": None}, "suffix is None, and must be text"),
        (nothing, {"queues": ["q" * 250]}, "is too long for a name with '.safe'"),
        (lambda app: app.tasks, {}, "comes too late for app 'proj': its tasks have been made"),
        (with_task, {}, "comes too late for app 'proj': task 'used' has been made"),
        (lambda app: make_safe(app, ["mail"]), {}, "called twice"),
    ],
)
def test_a_wrong_call_is_refused(before: Callable[[Celery], Any], options: dict[str, Any], said: str) -> None:
    app = Celery("proj", broker=AMQP_URL, set_as_current=False)
    before(app)
    with pytest.raises(SettingError, match=said):
        make_safe(app, **options)


@pytest.mark.parametrize("given", ["proj", App("ours", set_as_current=False)])
def test_what_is_no_app_of_others_is_refused(given: Any) -> None:
    with pytest.raises(SettingError, match=r"needs a Celery app|set delivery_profile to safe"):
        make_safe(given)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"broker_url": "redis://localhost"}, "make_safe needs RabbitMQ, and broker_url begins with redis"),
        ({"task_queue_max_priority": 9}, "has the argument x-max-priority=9"),
        ({"worker_consumer": "a:B"}, "worker_consumer is 'a:B', and make_safe needs"),
        (
            {"task_queues": [Queue("mail", queue_arguments={"x-dead-letter-exchange": "own"})]},
            "x-dead-letter-exchange='own'",
        ),
        ({"task_queues": [Queue("mail", queue_arguments={"x-queue-type": "classic"})]}, "x-queue-type='classic'"),
    ],
)
def test_settings_that_make_it_impossible_are_refused_when_they_are_used(settings: dict[str, Any], said: str) -> None:
    app = Celery("proj", broker=AMQP_URL, set_as_current=False)
    make_safe(app)
    app.conf.update(settings)
    with pytest.raises(SettingError, match=said):
        _ = app.amqp.queues["mail"]


def test_a_named_queue_that_can_not_be_safe_is_refused() -> None:
    app = Celery("proj", broker=AMQP_URL, set_as_current=False)
    make_safe(app, queues=["news"])
    app.conf.task_queues = [Broadcast("news")]
    with pytest.raises(SettingError, match="the queue 'news', which is for broadcasts: leave it out"):
        _ = app.amqp.queues
