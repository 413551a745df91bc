"""What daemon, template and workers say to one another."""

import pytest

from agent.guest.messages import (
    Answer,
    Connecting,
    Consuming,
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
    ],
)
def test_a_message_survives_the_way(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "datagram", [b"", b"{}", b"[]", b"\xff", b'{"message": "Explode"}', b'{"message": "Fork", "spec": {}}']
)
def test_anything_else_is_refused(datagram: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        decode(datagram)
