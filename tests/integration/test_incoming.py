"""Messages that no task can be made of: dead letters, on a worker that goes on."""

import json
from functools import partial
from typing import Any

import amqp
import pytest

from tests.node import Node
from tests.waiting import wait_until

HEADERS = {"task": "alpha", "id": "an-id", "lang": "py", "root_id": "an-id", "parent_id": None}
EMBED: dict[str, Any] = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
BODY = json.dumps([["return", 1], {}, EMBED])
JSON = {"content_type": "application/json", "content_encoding": "utf-8"}


def publish(node: Node, body: str | bytes, headers: dict[str, Any], **properties: Any) -> None:
    message = amqp.Message(
        body.encode() if isinstance(body, str) else body, application_headers=headers, **{**JSON, **properties}
    )
    with node.broker.connect(node.vhost) as connection:
        connection.channel().basic_publish(message, "alpha", "alpha")


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in HEADERS.items() if key != name}


MESSAGES: dict[str, tuple[str | bytes, dict[str, Any], dict[str, Any]]] = {
    "too many arguments": (json.dumps([["return", 1, 2], {}, EMBED]), HEADERS, {}),
    "an unknown argument": (json.dumps([[], {"colour": 1}, EMBED]), HEADERS, {}),
    "arguments that are no list": (json.dumps([7, {}, EMBED]), HEADERS, {}),
    "an unknown task": (BODY, {**HEADERS, "task": "omega"}, {}),
    "a body that is cut": (BODY[:-5], HEADERS, {}),
    "bytes": (b"\xff\xfe\x00", HEADERS, {}),
    "an unknown type": (BODY, HEADERS, {"content_type": "application/x-nothing"}),
    "pickle": (b"cos\nsystem\n(S'true'\ntR.", HEADERS, {"content_type": "application/x-python-serialize"}),
    "an unknown compression": (BODY, {**HEADERS, "compression": "none-such"}, {}),
    "a body that is a number": ("7", HEADERS, {}),
    "a body that is too short": (json.dumps([["return", 1]]), HEADERS, {}),
    "no id": (BODY, without("id"), {}),
    "a task that is a list": (BODY, {**HEADERS, "task": ["alpha"]}, {}),
    "no headers": (BODY, {}, {}),
    "a time that is none": (BODY, {**HEADERS, "eta": "tomorrow"}, {}),
}


def test_messages_that_no_task_can_be_made_of_are_dead_letters(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    pid = node.pids()["alpha"]
    for dead, (body, headers, properties) in enumerate(MESSAGES.values(), 1):
        publish(node, body, headers, **properties)
        wait_until(partial(has, node, "alpha.dead", dead), 20, f"{list(MESSAGES)[dead - 1]}: a dead letter")
    assert node.send("alpha", "return", 1) == 1
    assert node.pids()["alpha"] == pid
    assert messages(node, "alpha") == 0


def has(node: Node, queue: str, count: int) -> bool:
    return messages(node, queue) == count


def messages(node: Node, queue: str) -> int:
    found = node.broker.queue(queue, node.vhost)
    return 0 if found is None else found.messages


@pytest.mark.parametrize("call", ['"alpha", ["return", 1, 2]', '"omega", [], queue="alpha"'])
def test_who_waits_for_the_result_of_a_rejected_task_is_told(node: Node, call: str) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    code = f"""
try:
    worker.app.send_task({call}).get(timeout=30)
except Exception as error:
    print(json.dumps(type(error).__name__))"""
    assert node.produce(code, "alpha") in {"InvalidTaskError", "NotRegistered"}
    assert messages(node, "alpha.dead") == 1


def test_a_task_that_raises_has_failed_and_is_done(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    node.send_and_leave("alpha", "fail", "no")
    node.wait_for("alpha", lambda queue: queue["failed"] == 1, "has failed")
    assert (messages(node, "alpha"), messages(node, "alpha.dead")) == (0, 0)
