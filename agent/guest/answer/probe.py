"""One attempt to reach each broker of an app, and its result store, and what its failure means."""

from __future__ import annotations

import errno
import importlib
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from amqp.exceptions import AccessRefused, ChannelError, NotAllowed, NotFound, UnexpectedFrame
from celery import Celery
from kombu import Queue

from celery_delivery.adopted.queues import SafeQueue
from celery_delivery.broker import embedded
from celery_delivery.broker.urls import brokers, is_embedded, shown
from celery_delivery.errors import TlsError
from celery_delivery.settings.own_first import differing
from celery_delivery.settings.profile import clients_declare, is_safe
from celery_delivery.topology.queues import DEAD, topology
from celery_delivery.topology.revocations import NAME as REVOKED

from . import redis, store
from .declarations import unknown_among
from .folders import check_folder
from .importing import Emit
from .kinds import by_broker_s_name, of_contracts, of_project

TIMEOUT = 3.0  # seconds for each step of a connection; a broker in the same network answers within milliseconds

REACHED = ""  # the fault of a broker that can be reached
EXPOSED = "exposed"
UNDECLARED = "undeclared"
UNLIKE = "unlike"
LEFT = "left"
FRAGILE = "fragile"
EVICTING = "evicting"

IMMUNE = (
    4  # the first RabbitMQ that takes no client's word for the deaths of a message; see `celery_delivery.worker.deaths`
)

# In this order: some are subclasses of others.
_FAULTS: tuple[tuple[type[BaseException], str], ...] = (
    (TlsError, "tls"),
    (AccessRefused, "login"),
    (NotAllowed, "vhost"),
    (UnexpectedFrame, "closed"),
    (ConnectionRefusedError, "refused"),
    (socket.gaierror, "name"),
    (TimeoutError, "silent"),
    (ConnectionError, "closed"),
    (PermissionError, "folder"),
)


def take(step: Mapping[str, Any], apps: Mapping[str, Celery], emit: Emit) -> None:
    """Emit {"probe": {"broker": …, "fault": …, "text": …, "of_project": …}} for each broker of the apps.

    Those of task classes have the same one; a project's own app may have another. The last line of each is
    {"store": {"store": …, "fault": …, "text": …, "costs": …, "of_project": …}} where it has a result store.

    Of the first one that answers, queues that are not there, and that no client may declare, come as faults "undeclared", and
    those that are there with other arguments than the apps declare them with as "unlike". Tasks that wait where those
    of a safe queue went before come as "left". A release in which one message can stop all dead letters comes as "fragile", and
    a Redis that may forget tasks when it is full as "evicting".

    A queue of dead letters that has some is a line {"letters": {"queue": …, "count": …}}.

    step: {"sends": names of tasks that the apps' tasks send, "schedule": what CELERY_AGENT_SCHEDULE names, "lease": the queue
    that is the right to send it}. A task that no contract has is a line {"delivery": text}.
    """
    if step["schedule"]:
        timetable = importlib.import_module(".timetable", __package__)  # here: it brings Celery's beat along
        timetable.look_at_right(step["schedule"], step["lease"], apps, emit)
    for alike in filter(None, (of_contracts(apps), of_project(apps))):
        _take(alike, emit)
        for text in differing(next(iter(alike.values())).conf, os.environ):
            emit({"delivery": f"{text}."})
    for app in list(of_contracts(apps).values())[:1]:
        for text in unknown_among(app, step["sends"]):
            emit({"delivery": text})


def _take(apps: Mapping[str, Any], emit: Emit) -> None:
    app = next(iter(apps.values()))
    kind = {"of_project": bool(of_project(apps))}
    answered = False

    def tell(url: str, fault: str, text: str) -> None:
        emit({"probe": {"broker": shown(url), "fault": fault, "text": text, **kind}})

    for url in brokers(app):
        fault, text = redis.probe(app, url) if redis.is_redis(url) else probe(app, url)
        tell(url, fault, text)
        if fault not in (REACHED, EXPOSED) or answered or is_embedded(url):
            continue
        answered = True
        if redis.is_redis(url):
            for text in redis.losses(app, url):
                tell(url, EVICTING, text)
            continue
        if clients_declare(app.conf):
            found = [(UNLIKE, text) for queue in apps for text in _unlike(app, url, queue, apps[queue])]
            found += [(LEFT, text) for queue in apps for text in _left(app, url, queue, apps[queue])]
        else:
            needed = [*apps, *([REVOKED] if is_safe(app.conf) else [])]
            found = [(UNDECLARED, queue) for queue in _undeclared(app, url, needed)]
        found += [(FRAGILE, release) for release in _fragile(app, url)]
        for letters in _letters(app, url, by_broker_s_name(apps)):
            emit({"letters": letters})
        for fault, text in found:
            tell(url, fault, text)
    answer = store.probe(app)
    if answer is not None:
        emit({"store": {**answer, **kind}})


def told(apps: Iterable[Any]) -> dict[str, Any]:
    """Return what the brokers of apps are, for people, and whether one of them is the embedded one."""
    urls = list(dict.fromkeys(url for app in apps for url in brokers(app)))
    return {"broker": ";".join(map(shown, urls)), "embedded": any(map(is_embedded, urls))}


def probe(app: Any, url: str) -> tuple[str, str]:
    """Connect to one broker and close again; return the kind of fault, "" where there is none, and its text.

    A broker that was reached without TLS over a network is `exposed`: no fault of the connection's, but to be told.
    """
    with app.connection_for_read(url, connect_timeout=TIMEOUT) as connection:
        try:
            if is_embedded(url):
                check_folder(embedded.queues(url))
                return REACHED, ""
            transport = connection.transport
            established = transport.establish_connection()
            peer = established.sock.getpeername()[0]
            transport.close_connection(established)
        except Exception as error:  # whatever a transport raises is the finding
            return fault_of(error), str(error) or repr(error)
    return (EXPOSED, peer) if not connection.ssl and not ip_address(peer).is_loopback else (REACHED, "")


def _undeclared(app: Any, url: str, queues: Iterable[str]) -> list[str]:
    """Return the queues that a broker does not have; asking for one takes no rights."""
    missing = []
    with app.connection_for_read(url, connect_timeout=TIMEOUT) as connection:
        for queue in queues:
            try:
                connection.channel().queue_declare(queue, passive=True)
            except NotFound:
                missing.append(queue)
    return missing


def _unlike(app: Any, url: str, name: str, hosting: Any) -> list[str]:
    """Return why the broker would refuse to declare a queue, or that of its dead letters; what is not there stays so."""
    queue = hosting.amqp.queues[name]
    if is_safe(hosting.conf) or isinstance(queue, SafeQueue):
        declared = topology([queue.name], {queue.name: queue.queue_arguments})
        needed = [Queue(each.name, durable=True, queue_arguments=each.arguments) for each in declared.queues]
    else:
        needed = [queue] if queue.name == name else []
    refusals = []
    with app.connection_for_read(url, connect_timeout=TIMEOUT) as connection:
        for queue in needed:
            bound = queue.bind(connection.channel())
            try:
                bound.queue_declare(passive=True)
                bound.queue_declare()
            except (NotFound, AccessRefused):
                continue  # it will be declared, or somebody else has to
            except ChannelError as error:
                refusals.append(f"{queue.name}: {error.reply_text}")
    return refusals


def _letters(app: Any, url: str, queues: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the queues of dead letters that have some, and how many; asking takes no rights."""
    if not is_safe(app.conf) and not hasattr(app, "safe_queues"):
        return
    with app.connection_for_read(url, connect_timeout=TIMEOUT) as connection:
        for queue in queues:
            try:
                found = connection.channel().queue_declare(queue + DEAD, passive=True)
            except ChannelError:  # it is not there, or its node is down
                continue
            if found.message_count:
                yield {"queue": queue + DEAD, "count": found.message_count}


def _left(app: Any, url: str, name: str, hosting: Any) -> list[str]:
    """Return what waits in the queue that a safe one of a project's own app had before, as "queue: number"."""
    queue = hosting.amqp.queues[name]
    if not isinstance(queue, SafeQueue) or queue.name == name:
        return []
    with app.connection_for_read(url, connect_timeout=TIMEOUT) as connection:
        try:
            count = connection.channel().queue_declare(name, passive=True).message_count
        except ChannelError:  # there is none, or this user may not look
            return []
    return [f"{name}: {count}"] if count else []


def _fragile(app: Any, url: str) -> list[str]:
    """Return the broker's release, where one message could stop its dead letters, and tasks become such."""
    if not is_safe(app.conf) and not hasattr(app, "safe_queues"):
        return []
    with app.connection_for_read(url, connect_timeout=TIMEOUT) as connection:
        connection.connect()
        properties = connection.connection.server_properties
    release = str(properties.get("version", ""))
    major = release.partition(".")[0]
    is_fragile = properties.get("product") == "RabbitMQ" and major.isdecimal() and int(major) < IMMUNE
    return [f"RabbitMQ {release}"] if is_fragile else []


def fault_of(error: BaseException) -> str:
    """Return the kind of fault that an error of a connection is."""
    kind = next((fault for kind, fault in _FAULTS if isinstance(error, kind)), "other")
    if kind == "other" and isinstance(error, OSError):
        # py-amqp raises a bare OSError when the other end hangs up
        return "silent" if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH) else "closed"
    return kind
