"""What must be declared on the broker for an instance's queues, as `celery_delivery.topology` has it.

{"topology": {"vhost": …, "user": …,
              "exchanges": [{"name": …, "kind": …}, …],
              "queues": [{"name": …, "arguments": {…}, "purpose": as `agent.operate.rights` has them}, …],
              "bindings": [{"source": …, "destination": …, "routing_key": …, "to": "queue" or "exchange"}, …],
              "delays": the exchange where every delay begins,
              "words": {queue: the end of a routing key that leads from there to a task queue},
              "others": {queue: the same of a queue that tasks here send to, and others host},
              "replies": what the names of queues for results begin with, or "",
              "declare": whether clients are set to declare all this themselves}}
{"footprint": …}        what a project's own app declares itself: see `footprint`
{"failed": text}        there is nothing to declare for task classes
{"finished": true}      that is all; of an app on a Redis, where users have no rights to queues, nothing else
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from celery import Celery

from celery_delivery.broker.urls import brokers, is_embedded
from celery_delivery.contract.contracts import queue_of
from celery_delivery.results.backends import uses_replies
from celery_delivery.results.replies import REPLIES
from celery_delivery.sending.routing import unknown
from celery_delivery.settings.profile import clients_declare, is_safe
from celery_delivery.topology import delays, revocations
from celery_delivery.topology.queues import Topology
from celery_delivery.topology.queues import topology as queues_topology

from ..schedule.lease import topology as lease_topology
from .footprint import footprint
from .importing import Emit
from .kinds import of_contracts, of_project
from .redis import is_redis


def take(step: Mapping[str, Any], apps: Mapping[str, Celery], emit: Emit) -> None:
    """Emit what the queues of the apps need, and whose rights are to be limited to it.

    step: {"sends": names of tasks that the apps' tasks send and others host, "lease": the queue that is the right to send the
    instance's periodic tasks, or ""}.
    """
    for app in dict.fromkeys(of_project(apps).values()):
        if not is_redis(brokers(app)[0]) and not is_embedded(brokers(app)[0]):
            found = footprint(app)
            right = [re.escape(step["lease"])] if step["lease"] else []
            emit({"footprint": {**found, "own": [*found["own"], *right]}})
    if of_contracts(apps):
        _declare(step["sends"], step["lease"], of_contracts(apps), emit)
    emit({"finished": True})


def _declare(sends: Sequence[str], lease: str, apps: Mapping[str, Any], emit: Emit) -> None:
    app: Any = next(iter(apps.values()))
    if is_embedded(brokers(app)[0]):
        emit({"failed": "The embedded broker has neither users nor rights: there is nothing to declare."})
    elif not is_safe(app.conf):
        profile = app.conf.get("delivery_profile")
        emit(
            {
                "failed": f"CELERY_TASKS_DELIVERY={profile} leaves declaring to the clients; the profile safe does not need to."
            }
        )
    else:
        faults = unknown_among(app, sends)
        if faults:
            emit({"failed": faults[0]})
            return
        others = {queue_of(app.names.find(name)) for name in sends} - set(apps)
        emit({"topology": _topology(app, apps, others, lease)})


def unknown_among(app: Any, sends: Iterable[str]) -> list[str]:
    """Return why tasks can't be sent, by the names in CELERY_AGENT_SENDS that no contract has."""
    return [f"CELERY_AGENT_SENDS: {unknown(name, app.names)}" for name in sends if app.names.find(name) is None]


def _topology(app: Any, queues: Iterable[str], others: Iterable[str], lease: str) -> dict[str, Any]:
    own, delayed = queues_topology(queues), delays.topology(queues)
    names = {binding.destination for binding in own.bindings}
    right, revoked = lease_topology(lease) if lease else Topology((), (), ()), revocations.topology()
    purposes = {each.name: "tasks" if each.name in names else "dead letters" for each in own.queues}
    purposes |= {lease: "schedule", revocations.NAME: "revocations"}
    parts = (own, right, revoked, delayed)
    connection = app.connection_for_write()
    return {
        "vhost": connection.virtual_host,
        "user": connection.userid,
        "exchanges": [asdict(each) for part in parts for each in part.exchanges],
        "queues": [
            {**asdict(each), "purpose": purposes.get(each.name, "delays")} for part in parts for each in part.queues
        ],
        "bindings": [asdict(each) for part in parts for each in part.bindings],
        "delays": delays.FIRST,
        "words": _words(delayed),
        "others": _words(delays.topology(others)),
        "replies": REPLIES if uses_replies(app) else "",
        "declare": clients_declare(app.conf),
    }


def _words(delayed: Topology) -> dict[str, str]:
    """Return by task queue the end of a routing key that leads to it from where delays begin."""
    return {
        each.destination: each.routing_key.removeprefix("#.") for each in delayed.bindings if each.source == delays.DUE
    }
