"""Messages of somebody who may publish to a queue and means harm; the same ones for the same seed and number."""

from __future__ import annotations

import bz2
import random
import zlib
from collections.abc import Callable, Sequence
from struct import pack
from typing import Any

from tests.integration.crafting import FLAGS, NUMBERS, SIGNATURE, Raw, encoded, good, json_of, nested, plain
from tests.integration.wire_broker import Delivery

GOOD_EVERY = 10  # each tenth message of a fuzz is a good one

MOMENTS = (
    "2001-01-01T00:00:00+00:00", "2001-01-01T00:00:00", "", "tomorrow", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00", "2001-01-01T25:61:61", "2001-01-01T00:00:00+99:99", "2001-01-01", "20010101", "1e9", "\x00",
)  # fmt: skip
HEADERS = (
    "task", "id", "lang", "root_id", "parent_id", "group", "group_index", "shadow", "eta", "expires", "retries", "timelimit",
    "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps", "meth",
    "compression", "x-death", "x-delivery-count", "headers", "callbacks", "errbacks", "chain", "chord", "delivery_info",
    "called_directly", "is_eager", "hostname", "args", "kwargs", "properties", "reply_to", "correlation_id", "utc", "taskset",
    "time_limit", "soft_time_limit", "update", "get", "clear", "_children", "_protected", "children", "__class__", "__dict__",
    "request", "loglevel", "logfile", "successful", "celery-tasks-undying", "celery-tasks-unreadable", "baggage", "groups",
    "execution_options", "task_id", "method", "link", "as_execution_options", "", "self", "uuid", "name",
)  # fmt: skip
EMBEDDED = ("callbacks", "errbacks", "chain", "chord", *HEADERS)
TEXTS = (
    "",
    "alpha",
    "beta",
    "\x00",
    "\x1b[2J",
    "%s%d%(x)s",
    "{0}{x}",
    "é" * 300,
    "\ud800",
    "0",
    "1e999",
    "null",
    "x" * 5000,
)
NUMERALS = (0, 1, -1, 5, 2**31, -(2**63), 2**63 - 1, 0.5, -0.0, 1e308, float("nan"), float("inf"), True, False, None)
KINDS = (
    "application/json",
    "application/x-python-serialize",
    "application/x-yaml",
    "application/data",
    "",
    "text/plain",
    "x",
    "application/x-msgpack",
)
CODINGS = ("utf-8", "binary", "utf-16", "rot13", "ascii", "no-such", "", "us-ascii", "idna", "zlib")


def hostile(seed: int, number: int) -> Delivery:
    """Return one that may be anything."""
    chance = random.Random(f"{seed}/{number}")
    headers, properties, body = plain(number)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        body = chance.choices(MUTATIONS, WEIGHTS)[0](chance, headers, properties, body)
    message = encoded(number, headers, properties, body)
    match chance.randrange(40):
        case 0:
            return Delivery(message.key, _flipped(chance, message.properties), message.body)
        case 1:
            return Delivery(message.key, message.properties, _flipped(chance, message.body))
        case 2:
            return Delivery(
                message.key, message.properties[: chance.randrange(1, len(message.properties))], message.body
            )
        case 3:
            return Delivery(message.key + b"\xff", message.properties, message.body)
    return message


def is_good(number: int) -> bool:
    """Say whether a message of a fuzz is good."""
    return number % GOOD_EVERY == 0


class Fuzz(Sequence[Delivery]):
    """Messages of a seed, each made when it is asked for."""

    def __init__(self, seed: int, count: int) -> None:
        self._seed = seed
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return good(number) if is_good(number) else hostile(self._seed, number)


def _header(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    headers[chance.choice(HEADERS)] = _value(chance, 3)
    return body


def _moment(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    headers[chance.choice(("eta", "expires"))] = chance.choice((*MOMENTS, *NUMERALS))
    return body


def _limit(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    headers["timelimit"] = [_value(chance, 1) for _ in range(chance.randrange(4))]
    return body


def _less(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    headers.pop(chance.choice(list(headers)), None) if headers else None
    return body


def _none_at_all(chance: random.Random, headers: dict[str, Any], properties: dict[str, Any], body: Any) -> Any:
    chance.choice((headers, properties)).clear()
    return body


def _stamp(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    headers["stamped_headers"], headers["stamps"] = _value(chance, 2), _value(chance, 2)
    return body


def _property(chance: random.Random, _: dict[str, Any], properties: dict[str, Any], body: Any) -> Any:
    name = chance.choice([each for each in FLAGS if each != "headers"])
    if name in NUMBERS:
        properties[name] = chance.randrange(256 if name != "timestamp" else 2**64)
    else:
        words = {"content_type": KINDS, "content_encoding": CODINGS}.get(name, TEXTS)
        properties[name] = chance.choice(
            (chance.choice(words), chance.choice(words), b"\xff\xfe", chance.randbytes(20))
        )
    return body


def _embed(chance: random.Random, _: dict[str, Any], __: dict[str, Any], body: Any) -> Any:
    if _is_whole(body):
        body[2][chance.choice(EMBEDDED)] = chance.choice(
            (_value(chance, 3), [SIGNATURE], [_value(chance, 2)], SIGNATURE)
        )
    return body


def _arguments(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    if chance.random() < 0.5:
        headers["task"] = "alpha"
    if _is_whole(body):
        body[chance.randrange(3)] = _value(chance, 4)
    return body


def _deep(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    levels = chance.choice((50, 150, 250, 400, 500, 700, 900, 990, 1100, 5000))
    if chance.random() < 0.3:
        headers[chance.choice(HEADERS)] = Raw(nested(levels))
    elif isinstance(body, list):
        value = b"[" * levels + b"]" * levels
        if chance.random() < 0.5:
            value = b'{"a":' * levels + b"1" + b"}" * levels
        return Raw(b"[[" + value + b"],{},{}]" if chance.random() < 0.8 else b"[[],{}," + value + b"]")
    return body


def _first_protocol(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    if not _is_whole(body):
        return body
    old = {**headers, "args": body[0], "kwargs": body[1], **body[2]} if isinstance(body[2], dict) else {"args": body[0]}
    for _number in range(chance.randrange(3)):
        old[chance.choice((*HEADERS, "args", "kwargs"))] = _value(chance, 2)
    if chance.random() < 0.7:
        headers.clear()
    return old


def _bytes(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    return Raw(
        chance.choice(
            (b"", b"null", b"7", b"[]", b"\xff", b'"', b"\xef\xbb\xbf[]", b"cos\nsystem\n(S'true'\ntR.", b"[NaN]")
        )
    )


def _compressed(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    pack_ = chance.choice((zlib.compress, bz2.compress, bytes))
    headers["compression"] = chance.choice(("zlib", "bzip2", "application/x-gzip", "zstd", 5, ["zlib"], "", "gzip"))
    return Raw(pack_(body.content if isinstance(body, Raw) else json_of(body)))


def _raw_header(chance: random.Random, headers: dict[str, Any], _: dict[str, Any], body: Any) -> Any:
    kind = chance.choice(b"SsxbBUuIiLlfdDFAtTVqZ\x00\xff").to_bytes(1, "big")
    value = chance.choice(
        (chance.randbytes(8), b"\xff" * 9, pack(">I", 4) + b"\xff\xfe\xfd\xfc", pack(">Q", 1_700_000_000_000), b"")
    )
    headers[chance.choice(HEADERS)] = Raw(kind + value)
    return body


MUTATIONS: tuple[Callable[..., Any], ...] = (
    _header, _moment, _limit, _less, _none_at_all, _stamp, _property, _embed, _arguments, _deep, _first_protocol, _bytes,
    _compressed, _raw_header,
)  # fmt: skip
WEIGHTS = (30, 8, 6, 4, 1, 6, 12, 20, 10, 6, 8, 3, 4, 6)


def _value(chance: random.Random, depth: int) -> Any:
    match chance.randrange(7 if depth else 3):
        case 0:
            return chance.choice(NUMERALS)
        case 1:
            return chance.choice(TEXTS)
        case 2:
            return chance.choice((None, [], {}, 5, "5", [5], [None], {"a": 1}))
        case 3 | 4:
            return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case 5:
            return {**SIGNATURE, chance.choice(list(SIGNATURE)): _value(chance, depth - 1)}
        case _:
            return {chance.choice(EMBEDDED): _value(chance, depth - 1) for _ in range(chance.randrange(4))}


def _is_whole(body: Any) -> bool:
    return isinstance(body, list) and len(body) == 3 and isinstance(body[2], dict)


def _flipped(chance: random.Random, content: bytes) -> bytes:
    changed = bytearray(content or b"x")
    for _ in range(chance.randrange(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)
