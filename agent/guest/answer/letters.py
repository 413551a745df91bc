"""Dead letters as the broker keeps them: what each is, and why it is there, as far as the message itself tells.

The broker knows only that a worker rejected a message, or that none of several deliveries was answered (its header
x-death). The rest follows from the message and the task classes that this process has imported:

    reason        when
    ------------  -----------------------------------------------------------------------------------------------
    undecodable   its body is not what its content type says, or of a type that is not accepted, or no task at all
    unknown       the queue hosts no task of its name
    arguments     the task's run, as its contract has it, does not take its arguments
    deliveries    it was delivered as often as the queue allows, and given back each time
    rejected      none of these: the task raised Reject
    expired       it was in the queue for longer than it was to be
    overflow      the queue was full
    sent          it never died: somebody sent it right here
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from kombu.exceptions import ContentDisallowed, DecodeError

from ..dead_letter import DeadLetter

DEATHS = "celery-tasks-deaths"  # headers of a letter that was replayed: how often it had died until then,
FIRST_DEATH = "celery-tasks-first-death"  # and when first, in seconds since 1970

# Headers by which a broker accounts for deliveries and deaths; those of the last death came with RabbitMQ 3.13.
_BROKER_S_OWN = re.compile(r"x-(death|(first|last)-death-\w+|(delivery|acquired)-count)")

_REASONS = {"delivery_limit": "deliveries", "expired": "expired", "maxlen": "overflow", "rejected": "rejected"}
_TEXTS = {
    "deliveries": "delivered as often as the queue allows, and given back each time: its process ended, or its time was up",
    "rejected": "the task raised Reject",
    "expired": "it was not run in time",
    "overflow": "the queue was full",
    "sent": "somebody sent it right here",
}


def letter_of(message: Any, queue: str, apps: Mapping[str, Celery]) -> DeadLetter:
    """Return what a message in the dead-letter queue of a task queue is; `apps` by queue, of all that are hosted."""
    headers = message.headers
    died = [each for each in headers.get("x-death", ()) if each.get("queue") == queue]
    times = sorted(_seconds(each["time"]) for each in died if isinstance(each.get("time"), datetime))
    earlier, first = _count(headers.get(DEATHS)), _count(headers.get(FIRST_DEATH))
    task, args, kwargs, cause = _understood(message, queue, apps)
    reason, text = cause or _broker_s_reason(died)
    return DeadLetter(
        queue=queue,
        id=str(headers.get("id") or message.properties.get("correlation_id") or _made_from(message.body)),
        task=task,
        args=args,
        kwargs=kwargs,
        reason=reason if died or earlier else "sent",
        text=text if died or earlier else _TEXTS["sent"],
        deaths=earlier + sum(_count(each.get("count")) for each in died),
        first=float(first) if first else (times[0] if times else None),
        last=times[-1] if times else None,
    )


def headers_again(headers: Mapping[str, Any], letter: DeadLetter) -> dict[str, Any]:
    """Return the headers to send a dead letter with again: without the broker's, with an account of its deaths.

    The broker counts on where it finds a header x-death of its own, but keeps only the time of the first death, and
    RabbitMQ 4 no longer counts what a client sent.
    """
    kept = {name: value for name, value in headers.items() if not _BROKER_S_OWN.fullmatch(name)}
    first = {} if letter.first is None else {FIRST_DEATH: int(letter.first)}
    return {**kept, DEATHS: letter.deaths, **first}


class _NoTask(Exception):
    """A message is no task that could be run; the text says why."""


def _understood(
    message: Any, queue: str, apps: Mapping[str, Celery]
) -> tuple[str, Sequence[Any] | None, Mapping[str, Any] | None, tuple[str, str] | None]:
    """Return the task's name, its arguments, and why no worker can run it, or None where one could."""
    try:
        task, args, kwargs = _content(message, apps[queue])
    except _NoTask as error:
        return str(message.headers.get("task") or ""), None, None, ("undecodable", str(error))
    return task, args, kwargs, _cause(task, args, kwargs, queue, apps)


def _content(message: Any, app: Celery) -> tuple[str, Sequence[Any], Mapping[str, Any]]:
    """Return the task's name and its arguments, from either version of Celery's protocol; raises _NoTask."""
    message.accept = set(app.conf.accept_content) | {"application/json"}
    try:
        payload = message.decode()
    except ContentDisallowed:
        raise _NoTask(f"its content type is {message.content_type!r}, and only JSON is accepted") from None
    except (DecodeError, LookupError, ValueError) as error:
        raise _NoTask(f"its body is no {message.content_type}: {error}") from None
    match payload:
        case [list() as args, dict() as kwargs, _] if "task" in message.headers:
            return str(message.headers["task"]), args, kwargs
        case {"task": str() as task, "args": list() as args, "kwargs": dict() as kwargs}:
            return task, args, kwargs
    raise _NoTask("it is no message of Celery's")


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
    said = str(died[0].get("reason", "")) if died else "rejected"  # the newest comes first
    reason = _REASONS.get(said, said)
    return reason, _TEXTS.get(reason, reason)


def _seconds(time: datetime) -> float:
    return time.replace(tzinfo=UTC).timestamp()  # py-amqp leaves out that it is UTC


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _made_from(body: Any) -> str:
    return "body-" + hashlib.sha256(body if isinstance(body, bytes) else str(body).encode()).hexdigest()[:12]
