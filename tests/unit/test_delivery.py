"""What the environment says about delivery, and what comes of it."""

import pytest

from celery_tasks.delivery import DeliverySettingError, queue_settings, settings


def test_nothing_is_lost_by_default() -> None:
    chosen = settings({})
    assert chosen["task_acks_late"]
    assert chosen["task_reject_on_worker_lost"]
    assert not chosen["task_acks_on_timeout"]
    (queue,) = queue_settings(chosen, "a")["task_queues"]
    assert queue.queue_arguments["x-queue-type"] == "quorum"


def test_the_article_has_the_defaults_of_celery() -> None:
    chosen = settings({"CELERY_TASKS_DELIVERY": "article"})
    assert [name for name in chosen if name.startswith(("task_", "worker_", "broker_"))] == []
    assert chosen["result_backend"] == "rpc://"
    assert queue_settings(chosen, "a") == {"task_default_queue": "a"}


def test_clients_declare_nothing_where_the_operator_has() -> None:
    (queue,) = queue_settings(settings({"CELERY_TASKS_DECLARE": "0"}), "a")["task_queues"]
    assert queue.no_declare


def test_settings_that_are_not_these_lead_to_the_queue_alone() -> None:
    assert queue_settings({"broker_url": "redis://"}, "a") == {"task_default_queue": "a"}


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("", "celery_tasks.results:replies"),
        ("rpc", "celery_tasks.results:replies"),
        ("off", "disabled://"),
        ("redis://host/1", "redis://host/1"),
        ("db+sqlite:////file", "db+sqlite:////file"),
    ],
)
def test_result_backends(text: str, backend: str) -> None:
    assert settings({"CELERY_TASKS_RESULTS": text})["result_backend"] == backend


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CELERY_TASKS_DELIVERY", "save"),
        ("CELERY_TASKS_DECLARE", "maybe"),
        ("CELERY_TASKS_RESULTS", "memcached://host"),
    ],
)
def test_a_value_that_is_none_is_named_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(DeliverySettingError, match=f"{variable}.*{value.partition(':')[0]}"):
        settings({variable: value})
