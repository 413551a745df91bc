"""Messages as their bytes: those of a task that must run, and whatever is made of them."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from struct import pack
from typing import Any

from amqp.serialization import dumps

from tests.integration.wire_broker import Delivery

# The properties of AMQP, in their order, with their flags.
FLAGS = {
    "content_type": 0x8000,
    "content_encoding": 0x4000,
    "headers": 0x2000,
    "delivery_mode": 0x1000,
    "priority": 0x0800,
    "correlation_id": 0x0400,
    "reply_to": 0x0200,
    "expiration": 0x0100,
    "message_id": 0x0080,
    "timestamp": 0x0040,
    "type": 0x0020,
    "user_id": 0x0010,
    "app_id": 0x0008,
    "cluster_id": 0x0004,
}
NUMBERS = {"delivery_mode": ">B", "priority": ">B", "timestamp": ">Q"}
SIGNATURE: dict[str, Any] = {
    "task": "beta",
    "args": [],
    "kwargs": {},
    "options": {},
    "subtask_type": None,
    "immutable": True,
}


class Raw:
    """Bytes that go into a message as they are: a value of a table with its type, or a body."""

    def __init__(self, content: bytes) -> None:
        self.content = content


def good(number: int) -> Delivery:
    """Return a message whose task must run."""
    return encoded(number, *plain(number))


def plain(number: int) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return the headers, properties and body of a message whose task must run."""
    id = f"id-{number}"  # noqa: A001
    headers: dict[str, Any] = {
        "lang": "py", "task": "beta", "id": id, "root_id": id, "parent_id": None, "group": None, "shadow": None, "eta": None,
        "expires": None, "retries": 0, "timelimit": [None, None], "argsrepr": "()", "kwargsrepr": "{}", "origin": "gen1@x",
        "ignore_result": True, "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
    }  # fmt: skip
    properties = {
        "content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2, "priority": 0,
        "correlation_id": id, "type": str(number),
    }  # fmt: skip
    embed: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return headers, properties, [[1], {}, embed]


def nested(levels: int, inner: bytes = b"V") -> bytes:
    """Return a value of a table that is a list in a list, and so on."""
    value = inner
    for _ in range(levels):
        value = b"A" + pack(">I", len(value)) + value
    return value


def encoded(number: int, headers: dict[str, Any], properties: dict[str, Any], body: Any) -> Delivery:
    """Return a message as bytes; its routing key is its number, and what the properties say is to follow it."""
    flags, values = 0, []
    for name, flag in FLAGS.items():
        if name == "headers" and (headers or "type" in properties):
            flags |= flag
            values.append(_table(headers))
        elif name in properties:
            flags |= flag
            values.append(_property_bytes(name, properties[name]))
    content = body.content if isinstance(body, Raw) else json_of(body)
    return Delivery(str(number).encode() + properties.get("key", b""), pack(">H", flags) + b"".join(values), content)


def _property_bytes(name: str, value: Any) -> bytes:
    if name in NUMBERS:
        return pack(NUMBERS[name], value)
    text = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
    return bytes([len(text[:255])]) + text[:255]


def _table(headers: dict[str, Any]) -> bytes:
    items = b""
    for name, value in headers.items():
        key = name.encode()
        items += bytes([len(key)]) + key + _item(value)
    return pack(">I", len(items)) + items


def _item(value: Any) -> bytes:
    if isinstance(value, Raw):
        return value.content
    table = dumps("F", [{"": _sendable(value)}])
    return bytes(table[5:])  # without the table's length and the empty key


def _sendable(value: Any) -> Any:
    match value:
        case dict():
            return {name: _sendable(each) for name, each in value.items()}
        case list() | tuple():
            return [_sendable(each) for each in value]
        case str() | bool() | int() | float() | None | bytes() | Decimal() | datetime():
            return value
    return str(value)


def json_of(body: Any) -> bytes:
    """Return a body as JSON, whatever is in it."""

    def text(value: Any) -> Any:
        return "raw" if isinstance(value, Raw) else str(value)

    return json.dumps(body, default=text).encode("utf-8", "surrogatepass")
