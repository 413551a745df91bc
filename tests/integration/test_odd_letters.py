"""Dead letters of somebody who wants nobody to look at them: each is a row of its own, and the others are as ever."""

from __future__ import annotations

import bz2
import json
from struct import pack
from typing import Any

import amqp
import pytest

from agent.errors import FAILURE, OK
from tests.integration.dead_letters import bury, declare, desk, letters, task, waiting
from tests.node import Node
from tests.waiting import wait_until

HEADERS, CORRELATION_ID = 0x2000, 0x0400  # the flags of these properties


class Odd(amqp.Message):
    """A message whose properties are sent as they are."""

    def __init__(self, body: str, flags: int, properties: bytes) -> None:
        super().__init__(body)
        self.raw = pack(">H", flags) + properties

    def _serialize_properties(self) -> bytes:
        return self.raw


def table(value: bytes) -> bytes:
    return pack(">I", len(value) + 2) + b"\x01x" + value


def nested(levels: int) -> bytes:
    value = b"V"
    for _ in range(levels):
        value = b"A" + pack(">I", len(value)) + value
    return table(value)


UNREADABLE = {
    "no UTF-8": Odd("0", CORRELATION_ID, b"\x02\xff\xfe"),
    "a time in milliseconds": Odd("1", HEADERS, table(b"T" + pack(">Q", 1_700_000_000_000))),
    "deep": Odd("2", HEADERS, nested(60)),
    "deeper than Python follows": Odd("3", HEADERS, nested(2_000)),
}


def with_headers(id: str, **headers: Any) -> amqp.Message:  # noqa: A002
    message = task(id=id)
    message.properties["application_headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    return message


def with_body(id: str, body: str | bytes, **headers: Any) -> amqp.Message:  # noqa: A002
    message = with_headers(id, **headers)
    message.body = body
    return message


def send(node: Node, *messages: amqp.Message) -> None:
    """Send letters right to where they are to lie."""
    declare(node, "alpha")
    before = waiting(node, "alpha.dead")
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        for message in messages:
            channel.basic_publish(message, "", "alpha.dead")
    wait_until(lambda: waiting(node, "alpha.dead") == before + len(messages), 30, "they are there")


@pytest.mark.rabbitmq_4
def test_a_letter_that_can_t_be_decoded_is_a_row_that_can_be_shown_and_purged(alpha: Node) -> None:
    send(alpha, *UNREADABLE.values())
    bury(alpha, "alpha", [task("alpha", id="good")])
    found = {letter["id"]: letter for letter in letters(alpha)}
    good = found.pop("good")
    assert (good["reason"], good["deaths"]) == ("rejected", 1)
    text = "its properties are not what AMQP says, or nested too deeply"
    assert [(each["reason"], each["text"], each["task"]) for each in found.values()] == [("unreadable", text, "")] * 4
    shown = letters(alpha, "show", *found)
    raw = {letter["body"]: letter["headers"]["celery-tasks-raw"] for letter in shown}
    assert raw["0"].endswith("\x02\\xff\\xfe")
    assert raw["3"].count("A") >= 2_000
    done = alpha.run("dead-letters", "magic", "replay", "--all", "--json")
    assert ([each["id"] for each in json.loads(done.stdout)["replayed"]], done.returncode) == (["good"], FAILURE)
    assert f"stays: {text}. It can be shown, and purged." in done.stderr
    first, *_ = found
    assert desk(alpha, "purge", first, "--yes")["purged"] == [{"id": first, "queue": "alpha"}]
    assert waiting(alpha, "alpha.dead") == 3
    assert len(desk(alpha, "purge", "--yes")["purged"]) == 3


def test_what_stands_in_a_letter_is_not_believed(alpha: Node) -> None:
    bomb = bz2.compress(b"[" * 100_000_000)
    send(
        alpha,
        with_headers("deaths", x_death=[5, [], {"queue": "alpha", "count": "x", "time": "now"}]),
        with_headers("a text", x_death="hello"),
        with_headers("as deep as is read", x_death=json.loads("[" * 45 + "]" * 45)),
        with_headers("times", celery_tasks_deaths=1, celery_tasks_first_death=2**62),
    )
    bury(
        alpha,
        "alpha",
        [
            with_body("deep", json.dumps([[json.loads("[" * 200 + "]" * 200)], {}, {}])),
            with_body("bomb", bomb, compression="bzip2"),
            with_body("not compressed", "{}", compression=["zlib"]),
        ],
    )
    found = {letter["id"]: (letter["reason"], letter["text"]) for letter in letters(alpha)}
    assert {id: reason for id, (reason, _) in found.items()} == {  # noqa: A001
        **dict.fromkeys(("deaths", "times"), "rejected"),
        **dict.fromkeys(("a text", "as deep as is read"), "sent"),
        **dict.fromkeys(("deep", "bomb", "not compressed"), "undecodable"),
    }
    assert found["bomb"][1] == "its body has more than 16 MiB"
    assert alpha.run("dead-letters", "magic").returncode == OK
    assert len(letters(alpha, "show", *found)) == len(found)


def test_a_letter_s_words_reach_no_terminal_as_they_are(alpha: Node) -> None:
    id, name = "one\x1b[2J\n\x07", "beta\x1b]0;mine\x07"  # noqa: A001
    message = with_headers(id, task=name)
    message.body = "\x1b[1mbold\nreason       sent: forged"
    send(alpha, message)
    (letter,) = letters(alpha, "show", id)
    assert (letter["id"], letter["task"], letter["body"]) == (id, name, message.body)
    for command in ((), ("show", id)):
        shown = alpha.run("dead-letters", "magic", *command).stdout
        assert r"one\x1b[2J\n" in shown
        assert r"beta\x1b]0;mine\x07" in shown
        assert all(line.isprintable() for line in shown.splitlines())
    assert shown.splitlines()[-1] == r"body         \x1b[1mbold\nreason       sent: forged"
