"""What daemon, template and workers say to one another."""

import json
from dataclasses import fields

import pytest

from agent.guest.messages import (
    Answer,
    Connecting,
    Consuming,
    Died,
    Fork,
    Forked,
    ForkFailed,
    Message,
    Prepare,
    Prepared,
    decode,
    encode,
)
from tests.unit.specs import SPEC, TEMPLATE

ANSWER = b'{"message": "Answer", "queue": "emails", "generation": 3, "outcome": {%s}}'


@pytest.mark.parametrize(
    "message",
    [
        Prepare(TEMPLATE, "magic"),
        Prepared(0.5),
        Fork(SPEC, 3),
        Answer("emails", 3, Forked(4711)),
        Answer("emails", 3, ForkFailed("Cannot allocate memory")),
        Connecting(),
        Consuming(),
        Died("one", "killed by SIGABRT"),
    ],
)
def test_a_message_survives_the_way(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"{}",
        b"[]",
        b"3",
        b"\xff",
        b"[" * 100_000,
        b'{"message": "Explode"}',
        b'{"message": ["Prepared"], "seconds": 1}',
        b'{"message": "Prepared", "seconds": "soon"}',
        b'{"message": "Prepared", "seconds": NaN}',
        b'{"message": "Prepared", "seconds": 1e999}',
        b'{"message": "Prepare", "template": {}, "instance": 3}',
        b'{"message": "Fork", "spec": {}}',
        ANSWER % b'"pid": "4711"',
        ANSWER % b'"pid": true',
        ANSWER % b'"pid": 0',
        ANSWER % b'"pid": -1',
        ANSWER % b'"pid": 1%s' % (b"0" * 400),
        ANSWER % b'"pid": 4194305',
        ANSWER % b'"reason": null',
        ANSWER % b'"reason": "\\ud800"',
        ANSWER % b"",
    ],
)
def test_anything_else_is_refused(datagram: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        decode(datagram)


@pytest.mark.parametrize("field", [field.name for field in fields(SPEC)])
def test_a_spec_with_a_field_of_another_type_is_refused(field: str) -> None:
    told = json.loads(encode(Fork(SPEC, 3)))
    told["spec"][field] = {"no": "such"}
    with pytest.raises(ValueError, match=f"{field} of WorkerSpec"):
        decode(json.dumps(told).encode())
