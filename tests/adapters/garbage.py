"""What a peer that has gone wrong, or that means harm, may send: bytes, and JSON of every shape; the same for the same seed."""

from __future__ import annotations

import json
import random
import struct
import zlib
from typing import Any

from agent.guest.scoreboard import SIZE

NAMES = (
    "message",
    "queue",
    "generation",
    "pid",
    "reason",
    "spec",
    "template",
    "instance",
    "seconds",
    "request",
    "status",
)
WORDS = (
    "Prepare",
    "Prepared",
    "Fork",
    "Answer",
    "Connecting",
    "Consuming",
    "status",
    "reload",
    "alpha",
    "",
    "\ud800",
    "\x00",
)
FIRST = ("message", "request", "status", "reloaded", "error")  # what the words of each side begin with
NUMBERS = (0, 1, -1, 2**63, 10**400, 0.5, float("nan"), float("inf"), -0.0, True, False, None)
_HEADER = struct.Struct("<II")
_NUMBERS = struct.Struct("<3d7Q")


def datagram(chance: random.Random) -> bytes:
    """Return up to some kilobytes of garbage."""
    match chance.randrange(7):
        case 0:
            return chance.randbytes(chance.randrange(1, 200))
        case 1:
            return b"[" * chance.choice((50, 1100, 60_000))
        case 2:
            return b'{"message":' * chance.choice((10, 5000))
        case 3:
            return b'"' + b"9" * chance.choice((10, 5000))
        case 4:
            return _mutated(json.dumps(_value(chance, 3)).encode(), chance)
        case 5:
            return json.dumps({chance.choice(FIRST): _value(chance, 2)}).encode()
        case _:
            return json.dumps(_value(chance, 4)).encode()[:60_000] or b"x"


def page(chance: random.Random) -> bytes:
    """Return what a scoreboard may hold: half of the pages have the right checksum."""
    text = datagram(chance)[: SIZE - _HEADER.size]
    if chance.random() < 0.3:
        active = [_value(chance, 2) for _ in range(chance.randrange(3))]
        words = [[_value(chance, 1)], *(chance.choice(WORDS) for _ in range(3)), *(_value(chance, 1) for _ in range(3))]
        text = _NUMBERS.pack(*(chance.random() for _ in range(3)), *(chance.getrandbits(54) for _ in range(7)))
        text = (text + json.dumps([words, active]).encode())[: SIZE - _HEADER.size]
    length = len(text) if chance.random() < 0.8 else chance.randrange(2**32)
    checksum = zlib.crc32(text) if chance.random() < 0.8 else chance.randrange(2**32)
    return (_HEADER.pack(length, checksum) + text).ljust(SIZE, b"\0")


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(4 if depth else 2)
    if kind == 0:
        return chance.choice(NUMBERS)
    if kind == 1:
        return chance.choice(WORDS)
    if kind == 2:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {chance.choice(NAMES): _value(chance, depth - 1) for _ in range(chance.randrange(5))}


def _mutated(text: bytes, chance: random.Random) -> bytes:
    changed = bytearray(text or b"x")
    for _ in range(chance.randrange(1, 4)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)
