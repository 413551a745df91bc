"""Apps for task classes: their queue, their settings, and what is refused before anything is sent."""

from __future__ import annotations

import inspect
from typing import Any

import celery
import pytest
from kombu.exceptions import OperationalError

from celery_delivery.apps import create_app_from, queue_of
from celery_delivery.errors import SettingError
from celery_delivery.sending.confirming import Sending
from celery_tasks import utils
from celery_tasks.tasks import CountWordsTask, MagicCeleryTask

SETTINGS = "celery_tasks.celery_config"
NOWHERE = "amqp://127.0.0.1:1"  # nobody listens there: what is sent fails


class Alone(celery.Task):
    name = "alone"

    def run(self, number: int) -> int:
        return number


class First(celery.Task):
    name = "first"
    queue = "shared"


class Second(celery.Task):
    name = "second"
    queue = "shared"


def create_worker_from(*args: Any, **kwargs: Any) -> Any:
    return utils.create_worker_from(*args, **kwargs)


def send(task: celery.Task, *args: object, **kwargs: object) -> None:
    task.app.conf.broker_url = NOWHERE
    task.apply_async(args, kwargs, retry=False)


def test_the_queue_is_the_task_s_name() -> None:
    app, task = create_worker_from(Alone)
    assert app.conf.task_default_queue == task.name == "alone"
    assert list(app.amqp.queues) == ["alone"]


def test_classes_that_name_the_same_queue_share_it() -> None:
    app = create_app_from([First, Second], SETTINGS)
    assert list(app.amqp.queues) == ["shared"]
    assert {"first", "second"} <= set(app.tasks)


def test_an_app_has_one_queue() -> None:
    with pytest.raises(TypeError, match="an app has one queue, not 2: alone, shared"):
        create_app_from([Alone, First], SETTINGS)
    with pytest.raises(TypeError, match="an app has one queue, not 0: no task class was given"):
        create_app_from([], SETTINGS)


@pytest.mark.parametrize("thing", [None, "alone", Alone(), object, celery])
def test_what_is_no_task_class_is_refused(thing: Any) -> None:
    with pytest.raises(TypeError, match="is no task class: pass a subclass of celery.Task"):
        create_worker_from(thing)


@pytest.mark.parametrize("name", [None, "", 7])
def test_a_task_class_without_a_name_is_refused(name: object) -> None:
    with pytest.raises(TypeError, match="test_create_worker_from:Nameless has no name: set `name` in the class"):
        queue_of(type("Nameless", (celery.Task,), {"name": name, "__module__": __name__}))


@pytest.mark.parametrize(
    ("contract", "args", "kwargs", "problem"),
    [
        (MagicCeleryTask, (1, 2), {}, "unique_magic_task(arg1, arg2, arg3): missing a required argument: 'arg3'"),
        (MagicCeleryTask, (1, 2, 3, 4), {}, "unique_magic_task(arg1, arg2, arg3): too many positional arguments"),
        (MagicCeleryTask, (1, 2, 3), {"arg3": 4}, "multiple values for argument 'arg3'"),
        (CountWordsTask, ("a", 2), {}, "too many positional arguments"),
        (CountWordsTask, ("a",), {"minimum": 2}, "got an unexpected keyword argument 'minimum'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    contract: type[celery.Task], args: tuple[object, ...], kwargs: dict[str, object], problem: str
) -> None:
    _, task = create_worker_from(contract)
    with pytest.raises(TypeError) as refused:
        send(task, *args, **kwargs)
    assert problem in str(refused.value)


def test_right_arguments_are_sent() -> None:
    _, task = create_worker_from(CountWordsTask)
    with pytest.raises(OperationalError, match="Connection refused"):
        send(task, "a b a", minimum_length=2)


def test_a_contract_nobody_implemented_fails_where_it_is_run() -> None:
    _, task = create_worker_from(CountWordsTask)
    with pytest.raises(
        NotImplementedError, match="'count_words' was run by its contract celery_tasks.tasks:CountWords"
    ):
        task("a b a")


def test_only_json_is_written_and_read() -> None:
    app, _ = create_worker_from(Alone)
    assert (app.conf.task_serializer, app.conf.result_serializer) == ("json", "json")
    assert app.conf.accept_content == ["json"]
    assert app.conf.result_accept_content in (None, ["json"])


def test_another_settings_module_can_be_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_settings.py").write_text("broker_url = 'amqp://own//'\ntask_serializer = 'yaml'\n")
    monkeypatch.syspath_prepend(tmp_path)
    app, _ = create_worker_from(Alone, celery_config="own_settings")
    assert (app.conf.broker_url, app.conf.task_serializer) == ("amqp://own//", "yaml")
    assert app.conf.task_default_queue == "alone"


def settings(folder: Any, monkeypatch: pytest.MonkeyPatch, *lines: str) -> str:
    """Write a settings module of somebody's own; return its name."""
    name = f"settings_{len(list(folder.iterdir()))}_{abs(hash(lines))}"
    (folder / f"{name}.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(folder)
    return name


SAFE = 'delivery_profile = "safe"'


def test_one_line_of_plain_text_makes_settings_safe(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stock, _ = create_worker_from(Alone, settings(tmp_path, monkeypatch, "broker_url = 'amqp://own//'"))
    safe, _ = create_worker_from(Alone, settings(tmp_path, monkeypatch, "broker_url = 'amqp://own//'", SAFE))
    assert [app.conf.task_acks_late for app in (stock, safe)] == [False, True]
    assert [isinstance(app.amqp, Sending) for app in (stock, safe)] == [False, True]
    (queue,) = safe.conf.task_queues
    assert queue.queue_arguments["x-queue-type"] == "quorum"


def test_what_a_project_says_itself_wins_over_its_profile(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = settings(tmp_path, monkeypatch, SAFE, "worker_prefetch_multiplier = 8", "broker_heartbeat = 3")
    app, _ = create_worker_from(Alone, own)
    assert (app.conf.worker_prefetch_multiplier, app.conf.broker_heartbeat) == (8, 3)
    assert app.conf.task_acks_late  # the rest is the profile's


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("task_acks_late = False", "task_acks_late is False, and safe needs True: a worker that is killed loses what"),
        (
            "task_reject_on_worker_lost = 0",
            "task_reject_on_worker_lost is 0, and safe needs True: a task whose process",
        ),
        ("task_always_eager = True", "task_always_eager is True, and safe needs False: tasks are not sent at all"),
        ("task_acks_on_timeout = True", "task_acks_on_timeout is True, and safe needs False: a task that is killed by"),
    ],
)
def test_settings_that_take_from_the_promise_are_told_of(
    line: str, said: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create_worker_from(Alone, settings(tmp_path, monkeypatch, SAFE, line))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"Less is promised than by the profile safe: {said}")


def test_a_task_class_that_takes_from_the_promise_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    early = type("Early", (Alone,), {"acks_late": False, "__module__": __name__})
    create_worker_from(early)
    assert "Early.acks_late is False, and safe needs True" in caplog.text


def test_the_profile_alone_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    create_worker_from(Alone)
    assert not caplog.records


def test_a_broker_that_confirms_nothing_is_refused(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = settings(tmp_path, monkeypatch, SAFE, "broker_url = 'memory://'")
    with pytest.raises(
        SettingError, match="delivery_profile is 'safe', but broker_url begins with memory, where nothing"
    ):
        create_worker_from(Alone, own)


def test_what_tasks_take_is_looked_at_when_one_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def signature(function: object, **options: Any) -> inspect.Signature:
        asked.append(function)
        return stock(function, **options)  # type: ignore[arg-type]

    stock = inspect.signature
    monkeypatch.setattr(inspect, "signature", signature)
    _, task = create_worker_from(Alone)
    task.app.finalize()
    assert asked == []  # a worker that sends nothing keeps sharing the memory of `inspect`
    with pytest.raises(TypeError, match=r"alone\(number: 'int'\) -> 'int': too many positional arguments"):
        task.delay(1, 2)
    assert asked
