"""What the environment says about delivery, and what a profile makes of an app's settings."""

from typing import Any

import pytest

from celery_delivery.errors import SettingError
from celery_delivery.settings import environment
from celery_delivery.settings.profile import defaults, is_safe, queue_settings


def chosen(variables: dict[str, str]) -> dict[str, Any]:
    """Return the settings that variables come to, as a settings module names them."""
    return {
        "delivery_profile": environment.delivery_profile(variables),
        "clients_declare": environment.clients_declare(variables),
        "result_backend": environment.result_backend(variables),
    }


def test_nothing_is_lost_by_default() -> None:
    conf = chosen({})
    assert defaults(conf)["task_acks_late"]
    assert defaults(conf)["task_reject_on_worker_lost"]
    assert not defaults(conf)["task_acks_on_timeout"]
    (queue,) = queue_settings(conf, "a")["task_queues"]
    assert queue.queue_arguments["x-queue-type"] == "quorum"


def test_a_profile_is_known_by_its_name_alone() -> None:
    """A settings module of somebody's own says "safe", and has never heard of an enum."""
    assert is_safe({"delivery_profile": "safe"})
    assert "task_acks_late" in defaults({"delivery_profile": "safe"})
    assert not is_safe({"delivery_profile": "article"})


@pytest.mark.parametrize("name", ["save", "SAFE", "", True, 1])
def test_a_profile_that_is_none_is_refused_not_taken_for_another(name: object) -> None:
    with pytest.raises(SettingError, match="delivery_profile is .*, but must be one of: safe, article"):
        is_safe({"delivery_profile": name})


def test_the_article_has_the_defaults_of_celery() -> None:
    conf = chosen({"CELERY_TASKS_DELIVERY": "article"})
    assert list(defaults(conf)) == ["worker_consumer"]
    assert conf["result_backend"] == "rpc://"
    assert queue_settings(conf, "a") == {"task_default_queue": "a"}


def test_clients_declare_nothing_where_the_operator_has() -> None:
    (queue,) = queue_settings(chosen({"CELERY_TASKS_DECLARE": "0"}), "a")["task_queues"]
    assert queue.no_declare


def test_settings_that_are_not_these_lead_to_the_queue_alone() -> None:
    assert queue_settings({"broker_url": "redis://"}, "a") == {"task_default_queue": "a"}


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("", "rpc://"),
        ("rpc", "rpc://"),
        ("off", "disabled://"),
        ("redis://host/1", "redis://host/1"),
        ("db+sqlite:////file", "db+sqlite:////file"),
    ],
)
def test_result_backends(text: str, backend: str) -> None:
    assert environment.result_backend({"CELERY_TASKS_RESULTS": text}) == backend


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CELERY_TASKS_DELIVERY", "save"),
        ("CELERY_TASKS_DECLARE", "maybe"),
        ("CELERY_TASKS_RESULTS", "memcached://host"),
    ],
)
def test_a_value_that_is_none_is_named_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"{variable}.*{value.partition(':')[0]}"):
        chosen({variable: value})
