"""Where an app's own routing sends its tasks."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

from agent.guest.answer.routes import Routing, routing


def nothing() -> None:
    """Be what a decorator makes a task of."""


def routes(*tasks: str, of: dict[str, dict[str, Any]] | None = None, **settings: Any) -> Routing:
    """Return the routing of an app with these settings and tasks; `of` are attributes of single tasks."""
    app = Celery("proj", set_as_current=False, broker_url="memory://")
    app.conf.update(settings)
    for name in tasks:
        app.task(nothing, name=name, shared=False, **(of or {}).get(name, {}))
    app.finalize()
    return routing(app)


def test_an_app_without_routes_has_its_default_queue_alone() -> None:
    assert routes("a", "b").queues == {"celery": ["a", "b"]}
    assert routes("a", task_default_queue="work").queues == {"work": ["a"]}


def test_each_queue_that_a_route_leads_to_is_found_beside_the_default_queue() -> None:
    found = routes("mail.send", "mail.sort", "x", task_routes={"mail.*": "mail", "x": {"queue": "special"}})
    assert found.queues == {"celery": [], "mail": ["mail.send", "mail.sort"], "special": ["x"]}


def test_queues_are_those_of_the_settings_too_where_no_task_leads_there() -> None:
    found = routes("a", task_queues=[Queue("first"), Queue("second")], task_default_queue="first")
    assert found.queues == {"first": ["a"], "second": []}


def test_a_task_s_own_queue_counts() -> None:
    assert routes("a", of={"a": {"queue": "own"}}).queues == {"celery": [], "own": ["a"]}


def test_a_router_function_is_asked() -> None:
    def route(name: str, *_: Any, **__: Any) -> Any:
        return {"queue": f"{name}s"}

    assert routes("a", task_routes=(route,)).queues == {"celery": [], "as": ["a"]}


def test_a_router_that_needs_arguments_is_told_with_its_task() -> None:
    def route(_name: str, args: Any, *_: Any, **__: Any) -> Any:
        return {"queue": args[0]}

    found = routes("a", task_routes=(route,))
    assert found.queues == {"celery": []}
    (told,) = found.untold.values()
    assert told.startswith("the route of task a can't be told without its arguments: IndexError: ")


def test_a_route_to_a_queue_that_may_not_be_made_is_told() -> None:
    found = routes("a", task_routes={"a": "nowhere"}, task_queues=[Queue("celery")], task_create_missing_queues=False)
    assert found.queues == {"celery": []}
    assert list(found.untold.values()) == [
        "task a can't be sent: Queue 'nowhere' missing from task_queues. Add it there, or correct the route."
    ]


def test_a_default_queue_that_may_not_be_made_is_left_out() -> None:
    assert routes(task_queues=[Queue("only")], task_create_missing_queues=False).queues == {"only": []}


@pytest.mark.parametrize(
    ("key", "queues"),
    [
        ("log", {"all", "prefix"}),
        ("log.mail", {"all", "prefix", "word"}),
        ("log.mail.error", {"all", "prefix", "suffix"}),
        ("mail.error", {"all", "suffix"}),
        ("error", {"all", "suffix"}),
    ],
)
def test_a_route_by_a_topic_exchange_leads_to_each_queue_whose_pattern_matches(key: str, queues: set[str]) -> None:
    exchange = Exchange("topics", "topic")
    patterns = {"all": "#", "prefix": "log.#", "word": "log.*", "suffix": "#.error"}
    found = routes(
        "a",
        task_queues=[Queue("celery"), *(Queue(name, exchange, pattern) for name, pattern in patterns.items())],
        task_routes={"a": {"exchange": "topics", "routing_key": key}},
    )
    assert {queue for queue, tasks in found.queues.items() if tasks} == queues


def test_a_route_that_ends_where_no_queue_is_bound_is_told() -> None:
    for route in ({"exchange": "nobody", "routing_key": "x"}, {"exchange": "topics", "routing_key": "mail"}):
        queues = [Queue("celery"), Queue("logs", Exchange("topics", "topic"), "log.#")]
        found = routes("a", task_queues=queues, task_routes={"a": route})
        assert found.queues == {"celery": [], "logs": []}
        assert found.untold["a"].startswith(
            "the route of task a leads to an exchange and a routing key to which no queue of "
        )


def test_a_broadcast_queue_is_called_by_its_alias() -> None:
    found = routes(
        "a", task_queues=[Queue("celery"), Broadcast("everywhere")], task_routes={"a": {"queue": "everywhere"}}
    )
    assert found.queues == {"celery": [], "everywhere": ["a"]}
