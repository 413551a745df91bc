"""One message of each kind that has ended a worker, or was acked and not run: each is to be a dead letter, and run nowhere."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import Any

from tests.integration.crafting import SIGNATURE, Raw, encoded, nested, plain
from tests.integration.wire_broker import Delivery

Kind = Callable[
    [dict[str, Any], dict[str, Any], Any], Any
]  # changes headers, properties, body; returns another body, or None


def header(name: str, value: Any) -> Kind:
    def change(headers: dict[str, Any], _properties: dict[str, Any], _body: Any) -> None:
        headers[name] = value

    return change


def prop(name: str, value: Any) -> Kind:
    def change(_headers: dict[str, Any], properties: dict[str, Any], _body: Any) -> None:
        properties[name] = value

    return change


def embedded(name: str, value: Any) -> Kind:
    def change(_headers: dict[str, Any], _properties: dict[str, Any], body: Any) -> None:
        body[2][name] = value

    return change


def body(content: bytes) -> Kind:
    return lambda *_: Raw(content)


def old(**said: Any) -> Kind:
    """Return a message of Celery's first protocol."""

    def change(headers: dict[str, Any], _properties: dict[str, Any], whole: Any) -> Any:
        before = {**headers, "args": whole[0], "kwargs": whole[1], **said}
        headers.clear()
        return before

    return change


def both(*kinds: Kind) -> Kind:
    def change(headers: dict[str, Any], properties: dict[str, Any], whole: Any) -> Any:
        for kind in kinds:
            whole = kind(headers, properties, whole) or whole
        return whole

    return change


def each(change: Callable[[str, Any], Kind], name: str, *values: Any) -> dict[str, Kind]:
    """Return a kind for each value of a header, a property or an option of the body."""
    return {f"{name} {value!r}": change(name, value) for value in values}


_MILLISECONDS = Raw(b"T" + pack(">Q", 1_700_000_000_000))
_NO_SIGNATURES = (5, "text", [5], [SIGNATURE, None], {"task": 5})

KINDS: dict[str, Kind] = {
    **each(header, "eta", "", 0, False, "9999-12-31T23:59:59-14:00"),
    **each(header, "expires", "", 0, False),
    **each(header, "timelimit", 5, [1], "text", [-1, None], [float("nan"), 1], ["1", "2"], [1, 2, 3]),
    **each(header, "stamped_headers", 5, "text", [[]], [{}]),
    **each(header, "shadow", 5, ["x"], {"x": 1}),
    **each(header, "group", 5, ["x"], {"x": 1}),
    **each(header, "retries", "5", [5]),
    **each(header, "get", 5),  # the name of a method
    **each(header, "headers", [5]),
    **each(header, "chain", [5]),
    **each(header, "sent", _MILLISECONDS),
    **each(embedded, "callbacks", *_NO_SIGNATURES),
    **each(embedded, "errbacks", *_NO_SIGNATURES),
    **each(embedded, "chain", *_NO_SIGNATURES),
    **each(embedded, "chord", *_NO_SIGNATURES),
    **each(embedded, "delivery_info", [5]),
    **each(embedded, "update", 5),
    **{
        f"{name} that is no UTF-8": prop(name, b"\xff\xfe")
        for name in ("content_type", "content_encoding", "correlation_id", "reply_to", "message_id", "type", "app_id")
    },
    "a routing key that is no UTF-8": prop("key", b"\xff"),
    "a group that has no tasks": embedded(
        "callbacks", [{**SIGNATURE, "subtask_type": "group", "kwargs": {"tasks": 5}}]
    ),
    "a chord that has no body": embedded("chord", {**SIGNATURE, "subtask_type": "chord"}),
    "an unknown workflow": embedded("chain", [{**SIGNATURE, "subtask_type": "none such"}]),
    "a false x-death that nobody can read": both(header("sent", _MILLISECONDS), header("x-death", [5])),
    "a false x-death of what nobody can write": both(header("x-death", [5]), prop("content_encoding", "idna")),
    "a false x-death without a body": both(header("x-death", [5]), body(b"")),
    "a table 2,000 deep": header("x", Raw(nested(2000))),
    "an argument that is the task": both(header("task", "beta"), body(b'[[], {"self": 1}, {}]')),
    "arguments 5,000 deep": body(b"[[" + b"[" * 5000 + b"]" * 5000 + b"],{},{}]"),
    "the first protocol, shadow": old(shadow=5),
    "the first protocol, chord": old(chord=5),
    "the first protocol, timelimit": old(timelimit=5),
    "the first protocol, args": old(args=5),
}


def message_of(kind: str, number: int) -> Delivery:
    """Return a message of a kind."""
    headers, properties, whole = plain(number)
    changed = KINDS[kind](headers, properties, whole)
    return encoded(number, headers, properties, whole if changed is None else changed)
