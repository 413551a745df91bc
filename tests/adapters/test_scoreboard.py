"""The page that user code can write to as well: nothing that stands there, and no size that it is given, may end the reader."""

import json
import os
import random
import struct
import zlib
from collections.abc import Iterator

import pytest

from agent.guest.scoreboard import MOST_ACTIVE, MOST_TICKS, SIZE, ActiveTask, Pulse, Scoreboard, Tick, create

GOOD = [
    12.5,
    ["emails"],
    [["id-1", "send", 10.0, None, False]],
    1,
    3,
    2,
    1,
    4,
    5,
    6,
    "no broker",
    "no room",
    0.25,
    7.5,
    "an hour behind",
    True,
    [["report", None, 99.0]],
    1,
]
SEED = 8
INPUTS = 2_000


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = create()
    yield descriptor
    os.close(descriptor)


def write(descriptor: int, text: bytes) -> None:
    """Put a text there with the right length and the right checksum."""
    os.pwrite(descriptor, struct.pack("<II", len(text), zlib.crc32(text)) + text, 0)


@pytest.mark.parametrize("size", [0, SIZE - 1, SIZE + 1])
def test_nobody_can_change_its_size(descriptor: int, size: int) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, size)
    assert os.fstat(descriptor).st_size == SIZE


def test_a_page_that_is_written_as_a_worker_does_is_read(descriptor: int) -> None:
    write(descriptor, json.dumps(GOOD).encode())
    active = (ActiveTask("id-1", "send", 10.0),)
    assert Scoreboard(descriptor).read() == Pulse(
        12.5,
        ("emails",),
        active,
        1,
        3,
        2,
        1,
        4,
        5,
        6,
        "no broker",
        "no room",
        0.25,
        7.5,
        "an hour behind",
        True,
        (Tick("report", None, 99.0),),
        1,
    )


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 16_000,
        b'{"a":' * 3_000,
        b"null",
        b"[]",
        b"\xff\xfe",
        b'"text"',
        b"9" * 16_000,
        *(
            json.dumps([*GOOD[:place], value, *GOOD[place + 1 :]]).encode()
            for place, value in [
                (0, float("nan")),
                (0, float("inf")),
                (0, -1.0),
                (0, 10**400),
                (0, True),
                (0, "12.5"),
                (0, None),
                (1, "emails"),
                (1, [1]),
                (1, {"emails": 1}),
                (2, [["id", "name"]]),
                (2, [["id", "name", 1.0, "long"]]),
                (2, [["id", "name", "long ago", None]]),
                (2, [[1, "name", 1.0]]),
                (2, [["id", ["name"], 1.0, None]]),
                (2, [["id", "name", float("nan"), None]]),
                (2, [["id", "name", 1.0, None]] * (MOST_ACTIVE + 1)),
                (3, -1),
                (4, 1.5),
                (5, 10**400),
                (6, "1"),
                (6, True),
                (7, 1.5),
                (9, -1),
                (10, None),
                (12, None),
                (13, -1.0),
                (14, None),
                (15, False),
                (15, 1),
                (16, None),
                (16, [["report", 1.0]]),
                (16, [["report", "never", 1.0]]),
                (16, [["report", None, None]]),
                (16, [["report", None, 2.0**53]]),
                (16, [["report", None, 1.0]] * (MOST_TICKS + 1)),
                (17, None),
            ]
        ),
    ],
)
def test_a_text_that_is_no_pulse_says_nothing(descriptor: int, text: bytes) -> None:
    write(descriptor, text)
    assert Scoreboard(descriptor).read() is None


@pytest.mark.parametrize("length", [SIZE, SIZE - 7, 2**31, 2**32 - 1])
def test_a_length_that_has_no_room_says_nothing(descriptor: int, length: int) -> None:
    os.pwrite(descriptor, struct.pack("<II", length, 0), 0)
    assert Scoreboard(descriptor).read() is None


def test_names_can_be_written_to_any_place(descriptor: int) -> None:
    write(
        descriptor,
        json.dumps(
            [1.0, ["\ud800"], [["\udfff", "\ud800", 1.0, None, False]], 1, 0, 0, 0, 0, 0, 0, "\udfff", "", 0.0, 0.0, ""]
        ).encode(),
    )
    pulse = Scoreboard(descriptor).read()
    assert pulse is not None
    assert (*pulse.queues, pulse.active[0].id, pulse.active[0].name) == ("?", "?", "?")


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
