"""Celery's variables, which override settings without a word, count where the settings say nothing."""

from __future__ import annotations

import logging
import types
from typing import Any

import celery
import pytest
from celery.app.defaults import NAMESPACES, flatten
from celery.app.utils import Settings

from celery_delivery.apps import create_app_from
from celery_delivery.settings.own_first import VARIABLES, differing

ELSEWHERE = {
    "CELERY_BROKER_URL": "redis://:secret@elsewhere//",
    "CELERY_BROKER_READ_URL": "redis://read//",
    "CELERY_BROKER_WRITE_URL": "redis://write//",
    "CELERY_RESULT_BACKEND": "cache://",
}

KNOWN = tuple(name for name, _ in flatten(NAMESPACES))


class Add(celery.Task):
    name = "add"

    def run(self, a: int) -> int:
        return a


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes an app of settings."""

    def make(**settings: Any) -> Any:
        module = types.ModuleType("own_settings")
        vars(module).update(settings)
        monkeypatch.setitem(__import__("sys").modules, "own_settings", module)
        return create_app_from([Add], "own_settings")

    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    return make


def places(conf: Any) -> list[Any]:
    return [conf.broker_url, conf.broker_read_url, conf.broker_write_url, conf.result_backend]


def test_the_settings_count_and_the_log_says_so_once(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"broker_url": "amqp://here//", "result_backend": "rpc://", "delivery_profile": "safe"}
    with caplog.at_level(logging.WARNING):
        made = [app(**settings) for _ in range(2)]
    assert places(made[1].conf) == ["amqp://here//"] * 3 + ["rpc://"]
    assert made[1].connection_for_write().hostname == "here"
    told = [each.getMessage() for each in caplog.records if "has no effect" in each.getMessage()]
    assert sorted(each.split()[0] for each in told) == sorted(VARIABLES)
    assert (
        "CELERY_BROKER_URL is redis://:**@elsewhere//, and has no effect: broker_url of the settings counts, "
        "amqp://here//. Unset one."
    ) in told


def test_a_variable_counts_where_the_settings_say_nothing(app: Any) -> None:
    conf = app().conf
    assert places(conf) == [ELSEWHERE[each] for each in VARIABLES]
    assert list(differing(conf, ELSEWHERE)) == []


def test_an_app_of_a_projects_own_is_as_celery_has_it_and_what_counts_is_named(app: Any) -> None:
    conf = celery.Celery("shop", broker="amqp://here//", set_as_current=False).conf
    assert conf.broker_url == ELSEWHERE["CELERY_BROKER_URL"]
    variables = {"CELERY_BROKER_URL": "amqp://here//", "CELERY_BROKER_READ_URL": "redis://read//"}
    assert list(differing(conf, variables)) == [
        (
            "CELERY_BROKER_READ_URL is redis://read//, and counts more than broker_read_url of the settings, "
            "amqp://here//. Unset one"
        )
    ]


@pytest.mark.parametrize("names", ["new", "old"])
def test_every_setting_is_what_celery_finds(app: Any, names: str) -> None:
    new = {"task_acks_late": True, "worker_prefetch_multiplier": 7, "broker_url": "amqp://here//"}
    old = {"CELERY_ACKS_LATE": True, "CELERYD_PREFETCH_MULTIPLIER": 7, "BROKER_URL": "amqp://here//"}
    conf = app(**(new if names == "new" else old)).conf
    conf.update(task_serializer="yaml")
    for name in (*KNOWN, *new, *old, "task_serializer", "CELERY_TASK_SERIALIZER", "task_queues", "own"):
        ours, stock = (_found(kind, conf, name) for kind in (type(conf), Settings))
        assert ours == stock, name


def _found(kind: type[Settings], conf: Settings, name: str) -> Any:
    try:
        return kind.__getitem__(conf, name)
    except KeyError as error:
        return repr(error)
