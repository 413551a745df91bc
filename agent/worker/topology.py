"""What must be declared on the broker for an instance's queues, as `celery_tasks.queues` has it.

{"topology": {"vhost": …, "user": …, "exchanges": [name, …], "queues": [{"name": …, "arguments": {…}}, …],
              "bindings": [{"exchange": …, "queue": …, "routing_key": …}, …], "replies": prefix or "", "declare": bool}}
{"failed": text}        there is nothing to declare
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from celery import Celery

from celery_tasks.delivery import is_safe
from celery_tasks.queues import topology
from celery_tasks.results import REPLIES, replies

from .importing import Emit
from .probe import brokers, is_embedded


def take(_step: Mapping[str, Any], apps: Mapping[str, Celery], emit: Emit) -> None:
    """Emit what the queues of the apps need, and whose rights are to be limited to it."""
    app: Any = next(iter(apps.values()))
    if is_embedded(brokers(app)[0]):
        emit({"failed": "The embedded broker has neither users nor rights: there is nothing to declare."})
    elif not is_safe(app.conf):
        profile = app.conf.delivery_profile
        emit(
            {
                "failed": f"CELERY_TASKS_DELIVERY={profile} leaves declaring to the clients; the profile safe does not need to."
            }
        )
    else:
        connection = app.connection_for_write()
        uses_replies = app.conf.result_backend == f"{replies.__module__}:{replies.__name__}"
        login = {"vhost": connection.virtual_host, "user": connection.userid}
        modes = {"replies": REPLIES if uses_replies else "", "declare": app.conf.clients_declare}
        emit({"topology": {**login, **asdict(topology(apps)), **modes}})
