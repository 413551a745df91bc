"""What is promised about a task that the broker has accepted, as Celery settings: a profile, chosen by name.

CELERY_TASKS_DELIVERY   safe (default): nothing accepted is lost; a task may run twice
                        article: Celery's defaults, as the article of 2019 has them; kill -9 loses what was running
CELERY_TASKS_DECLARE    1 (default): producers and consumers declare the queues they use
                        0: the operator has declared them, and nobody else needs the right to
CELERY_TASKS_RESULTS    rpc (default), redis://…, db+…://…, or off

They are read here, for producers and consumers alike, so that the two can't disagree. The figures were measured with
Celery 5.7.0 and RabbitMQ 3.10.8; `docs/delivery.md` tells more.
"""

import socket
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from celery_tasks.queues import TaskQueue, declared_task_queue, task_queue

CONNECT_TIMEOUT = 4.0  # seconds for each step of a connection
HEARTBEAT = 10  # seconds


class DeliverySettingError(ValueError):
    """A variable about delivery can't be used; the message says which and why."""


class Profile(StrEnum):
    """The profiles by the names that CELERY_TASKS_DELIVERY takes."""

    SAFE = "safe"
    ARTICLE = "article"


def profile(environment: Mapping[str, str]) -> Profile:
    """Return the chosen profile; raises DeliverySettingError for a name that is none."""
    name = environment.get("CELERY_TASKS_DELIVERY") or Profile.SAFE
    try:
        return Profile(name)
    except ValueError:
        known = ", ".join(Profile)
        raise DeliverySettingError(f"CELERY_TASKS_DELIVERY is {name!r}, but must be one of: {known}") from None


def clients_declare(environment: Mapping[str, str]) -> bool:
    """Say whether clients declare what they use; raises DeliverySettingError for what is neither yes nor no."""
    text = environment.get("CELERY_TASKS_DECLARE") or "1"
    if text not in {"0", "1"}:
        raise DeliverySettingError(f"CELERY_TASKS_DECLARE is {text!r}, but must be 1 or 0")
    return text == "1"


def results(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the result backend; raises DeliverySettingError for one that is not known here."""
    text = environment.get("CELERY_TASKS_RESULTS") or "rpc"
    if text == "off":
        return {"result_backend": "disabled://", "task_ignore_result": True}
    if text in {"rpc", "rpc://"}:
        return {"result_backend": "rpc://"}
    if text.startswith(("redis://", "rediss://", "db+")) and "://" in text:
        return {"result_backend": text}
    kind = text.partition("://")[0]
    raise DeliverySettingError(
        f"CELERY_TASKS_RESULTS begins with {kind!r}, but must be rpc, off, redis://host/0 or db+sqlite:////file.db"
    )


def settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the Celery settings of the chosen profile on RabbitMQ; raises DeliverySettingError."""
    chosen = {
        "delivery_profile": profile(environment),
        "clients_declare": clients_declare(environment),
        **results(environment),
    }
    if not is_safe(chosen):
        return chosen
    if chosen["result_backend"] == "rpc://":
        chosen["result_backend"] = "celery_tasks.results:replies"
    return {**chosen, **_SAFE}


def is_safe(conf: Mapping[str, Any]) -> bool:
    """Say whether an app's settings are those of the safe profile."""
    return conf.get("delivery_profile") is Profile.SAFE


def queue_settings(conf: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return the Celery settings that lead to one queue, by the profile that is among an app's settings."""
    if not is_safe(conf):
        return {"task_default_queue": queue}
    make = task_queue if conf["clients_declare"] else declared_task_queue
    declaration: TaskQueue = make(queue)
    return {
        "task_queues": [declaration],
        "task_default_queue": queue,
        "task_default_exchange": queue,
        "task_default_routing_key": queue,
        # Celery would make up a classic queue, without dead letters, for a name that is not among these.
        "task_create_missing_queues": False,
    }


_SAFE: dict[str, Any] = {
    # Acked when it is done: kill -9 of a worker then loses nothing (early ack: 3 of 3 tasks).
    "task_acks_late": True,
    # A pool child that dies gives its task back; by default late ack counts that as a failure (5 of 5 tasks lost).
    "task_reject_on_worker_lost": True,
    # A task that raises has failed, and is done; it would only raise again.
    "task_acks_on_failure": True,
    # A task that is killed by its hard limit is redelivered and dead-lettered in the end; acked, it is gone (2 of 2).
    "task_acks_on_timeout": False,
    # What a pool's process holds is not forgotten when a connection is lost or a worker stops (ran twice, 1 stop in 14).
    "worker_pool": "celery_tasks.pool:TaskPool",
    # A Redis or database that restarts is tried again, 5 s at most (some databases 20); by default the result is lost at once.
    "result_backend_always_retry": True,
    "result_backend_max_retries": 3,
    "result_backend_base_sleep_between_retries_ms": 500,
    "result_backend_max_sleep_between_retries_ms": 2000,
    # SIGQUIT lets running tasks end for so long before it gives them back; a stop has a deadline of its own.
    "worker_soft_shutdown_timeout": 3.0,
    # One task per slot: nothing waits behind a long task while another worker is idle.
    "worker_prefetch_multiplier": 1,
    # A link that died without a word is noticed in two heartbeats: 22 s; without heartbeats never.
    "broker_heartbeat": HEARTBEAT,
    "broker_connection_timeout": CONNECT_TIMEOUT,
    "broker_transport_options": {
        # What waits for an answer of the broker gives up; without a limit a frozen link is waited on for ever.
        "read_timeout": 5.0,
        "write_timeout": 5.0,
        # py-amqp's 1 s cuts the connection to a broker that is only slow to read (2,000 tasks at once, ETIMEDOUT).
        "socket_settings": {socket.TCP_USER_TIMEOUT: HEARTBEAT * 1000},
    },
    # A broker that is away, at the start or for long, is waited for; the default gives up after 100 attempts.
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # The broker closes the channel of a task that outlasts its consumer_timeout: the worker connects again, by default
    # it lives on without a consumer.
    "broker_channel_error_retry": True,
    # What is running when the connection goes can't be acked any more, and is redelivered: don't let it run twice at once.
    "worker_cancel_long_running_tasks_on_connection_loss": True,
}
