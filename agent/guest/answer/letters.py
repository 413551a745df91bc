"""Dead letters as the broker keeps them: what each is, and why it is there, as far as the message itself tells.

The broker knows only that a worker rejected a message, or that none of several deliveries was answered (its header
x-death). The rest follows from the message and the task classes that this process has imported:

    reason        when
    ------------  -----------------------------------------------------------------------------------------------
    undecodable   its body is not what its content type says, or of a type that is not accepted, or no task at all
    unreadable    its properties, or its header x-death, are not what a broker or a worker can go on with
    unknown       the queue hosts no task of its name
    arguments     the task's run, as its contract has it, does not take its arguments
    crashes       its process has ended while it ran, as often as the queue allows
    failed        it raised, had no retries left, and FAILED=keep is set
    deliveries    it was delivered as often as the queue allows, and given back each time
    rejected      none of these: the task raised Reject, or a worker could make no task of it
    expired       it was in the queue for longer than it was to be
    overflow      the queue was full
    sent          it never died: somebody sent it right here

Whoever may send to a queue chooses all of a letter. So nothing in it is believed, and looking at one takes bounded time and
memory: what is too deep or too large is not looked into.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from kombu.exceptions import DecodeError
from kombu.message import Message
from kombu.serialization import prepare_accept_content

from celery_delivery.broker.bodies import MIB, decompressed
from celery_delivery.errors import TooLarge
from celery_delivery.worker import claims
from celery_delivery.worker.deaths import CRASHED, CRASHES, FAILED, HEADER, MARK, REASON, TRACEBACK
from celery_delivery.worker.frames import RAW

from ..dead_letter import DeadLetter
from .frames import is_shallow

LONGEST_TEXT = 1_000  # characters of a reason that a header gives
LARGEST = 16 * MIB  # bytes of a body that is looked into
DEATHS = "celery-tasks-deaths"  # headers of a letter that was replayed: how often it had died until then,
FIRST_DEATH = "celery-tasks-first-death"  # and when first, in seconds since 1970

# Headers by which a broker accounts for deliveries and deaths; those of the last death came with RabbitMQ 3.13. And those
# by which it sends a message elsewhere, too.
BROKER_S_OWN = re.compile(r"x-(death|(first|last)-death-\w+|(delivery|acquired)-count)|B?CC")

_REASONS = {"delivery_limit": "deliveries", "expired": "expired", "maxlen": "overflow", "rejected": "rejected"}
_MARKS = (MARK, CRASHES, CRASHED, FAILED, TRACEBACK)  # of a copy that was made to be a dead letter
_SURE = {"unreadable"}  # reasons that need no death to be true
_TEXTS = {
    "deliveries": "delivered as often as the queue allows, and given back each time: its process ended, or its time was up",
    "rejected": "the task raised Reject, or no task could be made of the message: the worker's log says",
    "expired": "it was not run in time",
    "overflow": "the queue was full",
    "sent": "somebody sent it right here",
}


def letter_of(message: Any, queue: str, apps: Mapping[str, Celery]) -> DeadLetter:
    """Return what a message of py-amqp in the dead-letter queue of a task queue is; `apps` by queue, of all that are hosted."""
    try:
        return _looked_into(message, queue, apps)
    except Exception as error:  # the desk works whatever is in a letter
        text = f"looking into it raised {error!r}"
        return DeadLetter(queue, _made_from(message.body), "", None, None, "unreadable", text, 0, None, None)


def _looked_into(message: Any, queue: str, apps: Mapping[str, Celery]) -> DeadLetter:
    headers, properties = headers_of(message), message.properties
    died = _deaths(headers, queue)
    times = sorted(_seconds(each["time"]) for each in died if isinstance(each.get("time"), datetime))
    earlier, first = _count(headers.get(DEATHS)), _count(headers.get(FIRST_DEATH))
    task, args, kwargs, cause = _understood(message, queue, apps)
    reason, text = cause or _broker_s_reason(died)
    was_sent = reason not in _SURE and not died and not earlier
    return DeadLetter(
        queue=queue,
        id=str(headers.get("id") or properties.get("correlation_id") or _made_from(message.body)),
        task=task,
        args=args,
        kwargs=kwargs,
        reason="sent" if was_sent else reason,
        text=_TEXTS["sent"] if was_sent else text,
        deaths=earlier + (_crashes(headers) or sum(_count(each.get("count")) for each in died)),
        first=float(first) if first else (times[0] if times else None),
        last=times[-1] if times else None,
    )


def headers_of(message: Any) -> Mapping[str, Any]:
    """Return the headers of a message of py-amqp."""
    headers: Mapping[str, Any] = message.properties.get("application_headers") or {}
    return headers


def traceback_of(message: Any) -> str:
    """Return where a task that failed has raised, "" where that is not known."""
    return str(headers_of(message).get(TRACEBACK, ""))


def is_readable(message: Any) -> bool:
    """Say whether the properties of a message could be decoded; else it can't be sent as it was."""
    return RAW not in headers_of(message)


def headers_again(headers: Mapping[str, Any], letter: DeadLetter) -> dict[str, Any]:
    """Return the headers to send a dead letter with again: without the broker's, with an account of its deaths.

    The broker counts on where it finds a header x-death of its own, but keeps only the time of the first death, and
    RabbitMQ 4 no longer counts what a client sent. What failed has all of its retries again.
    """
    kept = {
        name: value for name, value in headers.items() if name not in _MARKS and not BROKER_S_OWN.fullmatch(str(name))
    }
    first = {} if letter.first is None else {FIRST_DEATH: int(letter.first)}
    anew = {"retries": 0} if FAILED in headers else {}
    return {**kept, **anew, DEATHS: letter.deaths, **first}


class _NoTask(Exception):
    """A message is no task that could be run; the text says why."""


def _deaths(headers: Mapping[str, Any], queue: str) -> list[Mapping[str, Any]]:
    """Return those entries of x-death that are of a queue, without what else somebody may have put there."""
    entries = headers.get(HEADER)
    if not isinstance(entries, list):
        return []
    return [each for each in entries if isinstance(each, dict) and each.get("queue") == queue]


def _crashes(headers: Mapping[str, Any]) -> int:
    """Return how often the process of a task has ended, which the broker does not count; 0 of another letter."""
    return _count(headers.get(CRASHED)) if CRASHES in headers else 0


def _understood(
    message: Any, queue: str, apps: Mapping[str, Celery]
) -> tuple[str, Sequence[Any] | None, Mapping[str, Any] | None, tuple[str, str] | None]:
    """Return the task's name, its arguments, and why no worker can run it, or None where one could."""
    headers = headers_of(message)
    if not is_readable(message):
        return "", None, None, ("unreadable", "its properties are not what AMQP says, or nested too deeply")
    try:
        task, args, kwargs = _content(message, apps[queue])
    except _NoTask as error:
        return str(headers.get("task") or ""), None, None, ("undecodable", str(error))
    if MARK in headers:
        cause: tuple[str, str] | None = ("unreadable", REASON)
    elif CRASHES in headers:
        cause = ("crashes", str(headers[CRASHES])[:LONGEST_TEXT])
    elif FAILED in headers:
        cause = ("failed", str(headers[FAILED])[:LONGEST_TEXT])
    else:
        cause = _cause(task, args, kwargs, queue, apps)
    return task, args, kwargs, cause


def _content(message: Any, app: Celery) -> tuple[str, Sequence[Any], Mapping[str, Any]]:
    """Return the task's name and its arguments, from either version of Celery's protocol; raises _NoTask."""
    headers, kind = headers_of(message), message.properties.get("content_type")
    if kind not in prepare_accept_content({*app.conf.accept_content, "json"}):
        raise _NoTask(f"its content type is {kind!r}, and only JSON is accepted")
    try:
        body = _decompressed(message.body, headers.get("compression"))
        read = Message(body, content_type=kind, content_encoding=message.properties.get("content_encoding"))
        payload = read.decode()
    except TooLarge as error:
        raise _NoTask(str(error)) from None
    except (DecodeError, ValueError) as error:
        raise _NoTask(f"its body is no {kind}: {error}") from None
    if not is_shallow(payload):
        raise _NoTask("its arguments are nested too deeply")
    match payload:
        case [list() as args, dict() as kwargs, dict() | None] if "task" in headers:
            task = str(headers["task"])
        case {"task": str() as task, "args": list() as args, "kwargs": dict() as kwargs}:
            pass
        case _:
            raise _NoTask("it is no message of Celery's")
    read.headers = headers
    try:
        claims.check(app, read)
    except Exception as error:
        raise _NoTask(str(error)) from None
    return task, args, kwargs


def _decompressed(body: bytes, compression: Any) -> bytes:
    if compression:
        return decompressed(body, compression, LARGEST)
    if len(body) > LARGEST:
        raise TooLarge(f"its body has more than {LARGEST // MIB} MiB")
    return body


def _cause(
    task: str, args: Sequence[Any], kwargs: Mapping[str, Any], queue: str, apps: Mapping[str, Celery]
) -> tuple[str, str] | None:
    """Return why no worker of the queue can run a task, or None where one could."""
    known = apps[queue].tasks
    if task not in known:
        others = sorted(other for other, app in apps.items() if task in app.tasks)
        elsewhere = f"; {others[0]!r} does" if others else ""
        return "unknown", f"queue {queue!r} hosts no task of that name{elsewhere}"
    check = getattr(known[task], "__header__", None)
    try:
        if check is not None:
            check(*args, **kwargs)
    except TypeError as error:
        return "arguments", str(error)
    return None


def _broker_s_reason(died: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    said = str(died[0].get("reason", "rejected")) if died else "rejected"  # the newest comes first
    reason = _REASONS.get(said, said)
    return reason, _TEXTS.get(reason, reason)


def _seconds(time: datetime) -> float:
    return time.replace(tzinfo=UTC).timestamp()  # py-amqp leaves out that it is UTC


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 2**63 else 0


def _made_from(body: Any) -> str:
    return "body-" + hashlib.sha256(body if isinstance(body, bytes) else str(body).encode()).hexdigest()[:12]
