"""The page that user code can write to as well: nothing that stands there, and no size that it is given, may end the reader."""

import json
import os
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from agent.guest.scoreboard import MOST_ACTIVE, MOST_TICKS, SIZE, ActiveTask, Pulse, Scoreboard, Tick, create

NUMBERS = (12.5, 0.25, 7.5, 1, 3, 2, 1, 4, 5, 6)
GOOD: list[Any] = [
    [["emails"], "no broker", "no room", "an hour behind", True, [["report", None, 99.0]], 1],
    [["id-1", "send", 10.0, None, False]],
]
SEED = 8
INPUTS = 2_000


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = create()
    yield descriptor
    os.close(descriptor)


def write(descriptor: int, text: bytes, numbers: bytes = struct.pack("<3d7Q", *NUMBERS)) -> None:
    """Put numbers and a text there with the right length and the right checksum."""
    body = numbers + text
    os.pwrite(descriptor, struct.pack("<II", len(body), zlib.crc32(body)) + body, 0)


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1])
def test_nobody_can_change_its_size(descriptor: int, size: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, size)
    assert os.fstat(descriptor).st_size == SIZE


def test_a_page_that_is_written_as_a_worker_does_is_read(descriptor: int) -> None:
    write(descriptor, json.dumps(GOOD).encode())
    words = (("emails",), "no broker", "no room", "an hour behind", True, (Tick("report", None, 99.0),), 1)
    assert Scoreboard(descriptor).read() == Pulse(*NUMBERS, *words, (ActiveTask("id-1", "send", 10.0),))


def without(place: int, value: object) -> bytes:
    """Return the good text with another value in a place of its words, or, with -1, for its active tasks."""
    words, active = GOOD
    if place < 0:
        return json.dumps([words, value]).encode()
    return json.dumps([[*words[:place], value, *words[place + 1 :]], active]).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[" * 16_000,
        b'{"a":' * 3_000,
        b"null",
        b"[]",
        b"\xff\xfe",
        b'"text"',
        b"9" * 16_000,
        *(
            without(place, value)
            for place, value in [
                (0, "emails"),
                (0, [1]),
                (0, {"emails": 1}),
                (1, None),
                (2, 1),
                (3, None),
                (4, 1),
                (4, None),
                (5, None),
                (5, [["report", 1.0]]),
                (5, [["report", "never", 1.0]]),
                (5, [["report", None, None]]),
                (5, [["report", None, 2.0**53]]),
                (5, [["report", None, 1.0]] * (MOST_TICKS + 1)),
                (6, None),
                (6, -1),
                (6, 1.5),
                (6, True),
                (6, 10**400),
                (-1, None),
                (-1, [["id", "name"]]),
                (-1, [["id", "name", 1.0, "long", False]]),
                (-1, [["id", "name", "long ago", None, False]]),
                (-1, [["id", "name", 1.0, None, 0]]),
                (-1, [[1, "name", 1.0, None, False]]),
                (-1, [["id", ["name"], 1.0, None, False]]),
                (-1, [["id", "name", float("nan"), None, False]]),
                (-1, [["id", "name", 1.0, None, False]] * (MOST_ACTIVE + 1)),
            ]
        ),
    ],
)
def test_a_text_that_is_no_pulse_says_nothing(descriptor: int, text: bytes) -> None:
    write(descriptor, text)
    assert Scoreboard(descriptor).read() is None


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, float("nan")), (0, float("inf")), (0, -1.0), (1, 1e300), (2, -0.5), (3, 2**60), (9, 2**64 - 1)],
)
def test_numbers_that_are_none_of_a_pulse_say_nothing(descriptor: int, place: int, value: float) -> None:
    write(descriptor, json.dumps(GOOD).encode(), struct.pack("<3d7Q", *NUMBERS[:place], value, *NUMBERS[place + 1 :]))
    assert Scoreboard(descriptor).read() is None


def test_numbers_alone_say_nothing(descriptor: int) -> None:
    write(descriptor, b"", b"\0" * 8)
    assert Scoreboard(descriptor).read() is None


def test_words_that_change_are_read_anew(descriptor: int) -> None:
    writer, reader = Scoreboard(descriptor), Scoreboard(descriptor)
    for pulse in (
        Pulse(1.0, queues=("emails",)),
        Pulse(2.0, queues=("emails",), succeeded=1),
        Pulse(3.0, queues=("emails",), active=(ActiveTask("id-1", "send", 3.0),), active_count=1),
        Pulse(4.0, obstacle="no broker"),
        Pulse(5.0, queues=("emails",)),
    ):
        writer.write(pulse)
        assert reader.read() == pulse


@pytest.mark.parametrize("length", [SIZE, SIZE - 7, 2**31, 2**32 - 1])
def test_a_length_that_has_no_room_says_nothing(descriptor: int, length: int) -> None:
    os.pwrite(descriptor, struct.pack("<II", length, 0), 0)
    assert Scoreboard(descriptor).read() is None


def test_names_can_be_written_to_any_place(descriptor: int) -> None:
    words = [["\ud800"], "\udfff", "", "", False, [], 0]
    write(descriptor, json.dumps([words, [["\udfff", "\ud800", 1.0, None, False]]]).encode())
    pulse = Scoreboard(descriptor).read()
    assert pulse is not None
    assert (*pulse.queues, pulse.obstacle, pulse.active[0].id, pulse.active[0].name) == ("?", "?", "?", "?")


def test_whatever_is_changed_in_it_a_pulse_or_nothing_is_read(descriptor: int) -> None:
    chance = random.Random(SEED)
    board = Scoreboard(descriptor)
    for _ in range(INPUTS):
        text = bytearray(json.dumps(GOOD).encode())
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(text))
            text[place : place + chance.randrange(3)] = chance.choice(
                [b"[", b"]", b"9", b"-", b"e9", b"NaN", b'"', b"\\ud800", b"null", b",", bytes([chance.randrange(256)])]
            )
        write(descriptor, bytes(text))
        pulse = board.read()
        assert pulse is None or 0 <= pulse.at <= 2**53
