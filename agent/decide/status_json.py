"""A status as JSON, and back.

The form is documented in docs/status.md; SCHEMA grows when a reader of the old form could be misled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from operator import attrgetter
from typing import Any

from agent.decide.status import QueueStatus, Status, TaskStatus
from agent.errors import ProtocolError
from agent.guest.decoding import read

SCHEMA = 1


def encode_status(status: Status) -> dict[str, Any]:
    """Return a status as JSON types, with its schema number."""
    value: dict[str, Any] = json.loads(status_text(status))
    return value


def status_text(status: Status) -> str:
    """Return the same as text."""
    return text_with(status, map(text_of, status.queues))


def text_with(status: Status, rows: Iterable[str]) -> str:
    """Return the text of a status with these rows for its queues, each the text of one."""
    head = {"schema": SCHEMA, **_fields(status)}
    del head["queues"]
    return f'{text_of(head)[:-1]}, "queues": [{", ".join(rows)}]}}'


def text_of(value: Any) -> str:
    """Return a part of a status as JSON."""
    return _JSON.encode(value)


def decode_status(value: Any) -> Status:
    """Return the status that `encode_status` made a mapping of; raises ProtocolError."""
    schema = value.get("schema") if isinstance(value, Mapping) else None
    if isinstance(schema, int) and schema != SCHEMA:
        raise ProtocolError(f"the agent speaks status schema {schema}, this command {SCHEMA}: upgrade the older one")
    try:
        return read(Status, _filled(value))
    except ValueError as error:
        raise ProtocolError(f"a status was expected, but {error}") from error


def _fields(value: Any) -> dict[str, Any]:
    names, values = _reader(value.__class__)
    return dict(zip(names, values(value), strict=True))


_JSON = json.JSONEncoder(default=_fields, check_circular=False)  # a status has no circles; looking for some takes time


@cache
def _reader(kind: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the names of a class's fields, of which there are several, and what returns their values."""
    names = tuple(each.name for each in fields(kind))
    return names, attrgetter(*names)


def _filled(value: Any) -> Any:
    """Return a status with the fields that an agent of a former release does not know of."""
    if not isinstance(value, Mapping):
        return value
    queues = value.get("queues")
    if isinstance(queues, list):
        queues = [_filled_queue(each) for each in queues]
    return {**_defaults(Status), **value, "queues": queues}


def _filled_queue(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    active = value.get("active")
    if isinstance(active, list):
        active = [{**_defaults(TaskStatus), **each} if isinstance(each, Mapping) else each for each in active]
    return {**_defaults(QueueStatus), **value, "active": active}


@cache
def _defaults(kind: Any) -> dict[str, Any]:
    """Return what a status without these fields means, as JSON types."""
    return {
        each.name: [] if each.default == () else each.default for each in fields(kind) if each.default is not MISSING
    }
