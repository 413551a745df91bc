"""The dead-letter desk on a real broker: what it lists and why it is there, and that nothing is lost at it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable
from typing import Any

import amqp
import pytest

from agent.errors import FAILURE, NO_SUCH_INSTANCE, OK, USAGE
from agent.guest.answer.letterbox import WINDOW
from celery_delivery.topology.queues import declare as declare_topology
from celery_delivery.topology.queues import topology
from tests.node import Node, children
from tests.waiting import wait_until


def declare(node: Node, *queues: str) -> None:
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        declare_topology(topology(queues), channel)
        channel.queue_declare(queues[-1], passive=True)


def task(name: str = "alpha", *args: object, id: str = "", **kwargs: object) -> amqp.Message:  # noqa: A002
    id = id or str(uuid.uuid4())  # noqa: A001
    headers = {"lang": "py", "task": name, "id": id, "root_id": id, "retries": 0, "argsrepr": repr(args)}
    body = json.dumps([args, kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    properties = {"content_type": "application/json", "content_encoding": "utf-8", "correlation_id": id}
    return amqp.Message(body, application_headers=headers, delivery_mode=2, **properties)


def bury(node: Node, queue: str, messages: Iterable[amqp.Message]) -> None:
    """Have messages rejected by a consumer of a queue."""
    declare(node, queue)
    before = waiting(node, f"{queue}.dead")
    count = 0
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        for message in messages:
            channel.basic_publish(message, queue, queue)
            count += 1
    reject(node, queue, count)
    wait_until(lambda: waiting(node, f"{queue}.dead") == before + count, 60, "the broker has moved them")


def reject(node: Node, queue: str, count: int) -> None:
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        for _ in range(count):
            channel.basic_reject(wait_until(lambda: channel.basic_get(queue)).delivery_tag, requeue=False)


def waiting(node: Node, queue: str) -> int:
    return node.broker.messages(queue, node.vhost)


def wait_until_grown(node: Node, queue: str, count: int, by: subprocess.Popen[str]) -> None:
    """Return when a queue has so many, or who fills it has ended."""
    wait_until(lambda: waiting(node, queue) >= count or by.poll() is not None, 60, f"{queue} has {count}")


def ids_in(node: Node, queue: str) -> list[str]:
    """Return the ids in a queue, and leave the messages there."""
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        found = []
        while (message := channel.basic_get(queue)) is not None:
            found.append(str(message.headers["id"]))
    return found


def desk(node: Node, *arguments: str) -> dict[str, Any]:
    done = node.run("dead-letters", "magic", *arguments, "--json")
    assert done.returncode == OK, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    assert (value.pop("schema"), value.pop("instance")) == (1, "magic")
    return value


def started_desk(node: Node, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "agent", "dead-letters", "magic", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=node.environment(), stdout=pipe, stderr=pipe, text=True)


def letters(node: Node, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk(node, *arguments)["letters"]
    return found


@pytest.fixture
def alpha(node: Node) -> Node:
    """An instance that hosts alpha and beta and does not run."""
    node.configure("alpha", "beta")
    return node


class TestAListing:
    def test_says_why_each_letter_is_there(self, alpha: Node) -> None:
        pickled = amqp.Message(b"\x80\x04]", content_type="application/x-python-serialize", application_headers={})
        broken = task()
        broken.body = "{"
        stranger = amqp.Message('{"hello": 1}', content_type="application/json")
        bury(
            alpha,
            "alpha",
            [
                task("omega", id="unknown-1"),
                task("beta", id="unknown-2"),
                task("alpha", 1, 2, 3, id="arguments-1"),
                task("alpha", colour="red", id="arguments-2"),
                task("alpha", "return", value=1, id="rejected"),
                pickled,
                broken,
                stranger,
            ],
        )
        found = letters(alpha)
        reasons = {letter["id"]: (letter["reason"], letter["text"]) for letter in found}
        assert reasons["unknown-1"] == ("unknown", "queue 'alpha' hosts no task of that name")
        assert reasons["unknown-2"] == ("unknown", "queue 'alpha' hosts no task of that name; 'beta' does")
        assert reasons["arguments-1"][0] == "arguments"
        assert "positional arguments" in reasons["arguments-1"][1]
        assert "unexpected keyword argument 'colour'" in reasons["arguments-2"][1]
        assert reasons["rejected"][0] == "rejected"
        assert [text for letter in found if letter["reason"] == "undecodable" for text in [letter["text"]]] == [
            text
            for text in (letter["text"] for letter in found)
            if text.startswith(("its content type is 'application/x-python", "its body is no ", "it is no message of"))
        ]
        assert sorted(letter["reason"] for letter in found).count("undecodable") == 3

    def test_has_what_a_worker_would_not_run(self, alpha: Node) -> None:
        """Each is refused by Celery in another place."""
        alpha.start()
        alpha.wait_until_consuming()
        broken = task(id="broken")
        broken.body = "{"
        strange = amqp.Message('{"hello": 1}', content_type="application/json", correlation_id="strange")
        with alpha.broker.connect(alpha.vhost) as connection:
            channel = connection.channel()
            for message in (task("omega", id="unknown"), task("alpha", 1, 2, 3, id="arguments"), broken, strange):
                channel.basic_publish(message, "alpha", "alpha")
        alpha.send_and_leave("alpha", "abort")
        wait_until(lambda: waiting(alpha, "alpha.dead") == 5, 60, "all are dead")
        found = {letter["id"]: letter["reason"] for letter in letters(alpha)}
        known = {name: found.pop(name) for name in ("unknown", "arguments", "broken", "strange")}
        expected = {"unknown": "unknown", "arguments": "arguments", "broken": "undecodable", "strange": "undecodable"}
        assert known == expected
        assert list(found.values()) == ["deliveries"]
        assert alpha.send("alpha", "return", 1) == 1

    def test_tells_exhausted_deliveries_from_a_rejection(self, alpha: Node) -> None:
        declare(alpha, "alpha")
        with alpha.broker.connect(alpha.vhost) as connection:
            channel = connection.channel()
            channel.basic_publish(task(id="poison"), "alpha", "alpha")

            def is_dead() -> bool:
                message = channel.basic_get("alpha")
                if message is not None:
                    channel.basic_reject(message.delivery_tag, requeue=True)
                return waiting(alpha, "alpha.dead") == 1

            wait_until(is_dead, 60, "the queue's limit is reached")
        (letter,) = letters(alpha)
        assert (letter["id"], letter["reason"], letter["deaths"]) == ("poison", "deliveries", 1)

    def test_takes_nothing_away_and_may_be_repeated(self, alpha: Node) -> None:
        """Thousands of letters, more often than a quorum queue's own limits count."""
        ids = {f"letter-{number}" for number in range(3_000)}
        bury(alpha, "alpha", (task(id=each) for each in sorted(ids)))
        for _ in range(3):
            found = letters(alpha)
            assert {letter["id"] for letter in found} == ids
            assert [letter["last"] for letter in found] == sorted(letter["last"] for letter in found)
            wait_until(lambda: waiting(alpha, "alpha.dead") == len(ids), what="all are back")

    def test_has_one_queue_where_that_is_asked_for(self, alpha: Node) -> None:
        bury(alpha, "alpha", [task("alpha", id="a")])
        bury(alpha, "beta", [task("beta", id="b")])
        assert {letter["id"] for letter in letters(alpha)} == {"a", "b"}
        assert [letter["id"] for letter in letters(alpha, "--queue", "beta")] == ["b"]

    def test_is_a_table_for_people(self, alpha: Node) -> None:
        bury(alpha, "alpha", [task("alpha", "x" * 100, value=1, id="0123456789")])
        lines = alpha.run("dead-letters", "magic").stdout.splitlines()
        assert lines[:2] == ["magic: 1 dead letter", ""]
        assert lines[2].split() == ["ID", "QUEUE", "TASK", "ARGUMENTS", "REASON", "DEATHS", "FIRST", "LAST"]
        assert lines[3].split()[:5] == ["01234567", "alpha", "alpha", "'" + "x" * 38 + "…", "rejected"]

    def test_of_queues_that_nobody_has_declared_is_empty(self, alpha: Node) -> None:
        assert letters(alpha) == []
        assert alpha.run("dead-letters", "magic").stdout == "magic: no dead letters\n"


def test_a_letter_is_shown_whole(alpha: Node) -> None:
    bury(alpha, "alpha", [task("alpha", "x" * 100, id="0123-4567"), task(id="0199")])
    (letter,) = letters(alpha, "show", "0123")
    assert letter["args"] == ["x" * 100]
    assert json.loads(letter["body"])[0] == ["x" * 100]
    assert letter["headers"]["x-first-death-queue"] == "alpha"
    text = alpha.run("dead-letters", "magic", "show", "0123-4567").stdout
    assert text.startswith("id           0123-4567\nqueue        alpha\n")
    assert "x" * 100 in text


class TestAReplay:
    def test_sends_a_letter_back_as_it_was(self, alpha: Node) -> None:
        message = task("alpha", "return", 7, id="one")
        message.properties |= {"reply_to": "somebody", "priority": 3}
        bury(alpha, "alpha", [message, task(id="two")])
        assert desk(alpha, "replay", "one") == {"replayed": [{"id": "one", "queue": "alpha"}]}
        assert (waiting(alpha, "alpha"), waiting(alpha, "alpha.dead")) == (1, 1)
        with alpha.broker.connect(alpha.vhost) as connection:
            back = connection.channel().basic_get("alpha")
            assert back.body == message.body
            assert (back.properties["reply_to"], back.properties["priority"]) == ("somebody", 3)
            assert back.properties["delivery_mode"] == 2
            assert not [name for name in back.headers if name.startswith(("x-death", "x-first"))]

    def test_is_run_by_a_worker_that_has_been_mended(self, alpha: Node) -> None:
        source = alpha.code / "greek.py"
        whole = source.read_text()
        source.write_text(
            whole.replace("value=None):", 'value=None):\n            raise celery.exceptions.Reject("not yet")', 1)
        )
        alpha.start()
        alpha.wait_until_consuming()
        alpha.send_and_leave("alpha", "return", 7)
        wait_until(lambda: waiting(alpha, "alpha.dead") == 1, 60, "the worker has rejected it")
        assert alpha.stop() == 0
        source.write_text(whole)
        alpha.start()
        alpha.wait_until_consuming()
        desk(alpha, "replay", "--all")
        alpha.wait_for("alpha", lambda queue: queue["succeeded"] == 1, "has run the task")
        assert waiting(alpha, "alpha.dead") == 0

    def test_keeps_account_of_every_death(self, alpha: Node) -> None:
        bury(alpha, "alpha", [task(id="cat")])
        (before,) = letters(alpha)
        for _ in range(2):
            desk(alpha, "replay", "cat")
            reject(alpha, "alpha", 1)
            wait_until(lambda: waiting(alpha, "alpha.dead") == 1, 60, "it died again")
        (letter,) = letters(alpha)
        assert (letter["deaths"], letter["first"]) == (3, before["first"])
        assert letter["last"] >= letter["first"]

    def test_of_all_ends_though_letters_die_again_at_once(self, alpha: Node) -> None:
        bury(alpha, "alpha", (task("omega", id=str(number)) for number in range(20)))
        alpha.start()
        alpha.wait_until_consuming()
        assert len(desk(alpha, "replay", "--all")["replayed"]) == 20
        wait_until(lambda: waiting(alpha, "alpha.dead") == 20, 60, "all are dead again")

    def test_killed_again_and_again_loses_nothing(self, alpha: Node) -> None:
        ids = {f"letter-{number}" for number in range(1000)}
        bury(alpha, "alpha", (task(id=each) for each in sorted(ids)))
        kills = rounds = 0
        # What a killed one held comes back when the broker has noticed: the next may begin without it, or find nothing.
        while not ids <= set(found := ids_in(alpha, "alpha")):
            assert (rounds := rounds + 1) < 60, f"{len(ids - set(found))} are lost"
            with started_desk(alpha, "replay", "--all") as process:
                wait_until_grown(alpha, "alpha", len(found) + 50, by=process)
                kills += process.poll() is None
                process.kill()  # its half beside user code dies with it
        assert kills > 2
        assert set(found) == ids
        assert len(found) - len(ids) <= WINDOW * kills  # on their way when it was killed: they are in both queues

    def test_says_how_far_it_got_when_its_process_dies(self, alpha: Node) -> None:
        bury(alpha, "alpha", (task(id=str(number)) for number in range(500)))
        with started_desk(alpha, "replay", "--all", "--json") as process:
            wait_until(lambda: waiting(alpha, "alpha") > 50, 60, "some are replayed")
            for pid in children(process.pid):
                os.kill(pid, signal.SIGKILL)
            output, errors = process.communicate(timeout=60)
        assert process.returncode == FAILURE
        assert errors.startswith("agent: The desk's process ended early")
        assert 0 < len(json.loads(output)["replayed"]) <= waiting(alpha, "alpha")

    def test_into_a_queue_that_refuses_leaves_the_letters_where_they_are(self, alpha: Node) -> None:
        bury(alpha, "alpha", [task(id="one"), task(id="two")])
        alpha.broker.control("set_policy", "-p", alpha.vhost, "full", "^alpha$", '{"max-length": 1}')
        try:
            with alpha.broker.connect(alpha.vhost) as connection:
                channel = connection.channel()
                channel.confirm_select()
                for _ in range(3):  # it takes one or two more than its limit
                    channel.basic_publish(task(), "alpha", "alpha")
            wait_until(lambda: waiting(alpha, "alpha") > 0)
            done = alpha.run("dead-letters", "magic", "replay", "--all")
        finally:
            alpha.broker.control("clear_policy", "-p", alpha.vhost, "full")
        assert (done.returncode, done.stdout) == (FAILURE, "")
        (line,) = done.stderr.splitlines()
        assert line == "agent: one stays: queue 'alpha' refuses, it is full or most of its nodes are away."
        wait_until(lambda: waiting(alpha, "alpha.dead") == 2, what="they are back")

    def test_without_a_queue_to_go_to_leaves_the_letters_where_they_are(self, alpha: Node) -> None:
        bury(alpha, "alpha", (task(id="one") for _ in range(WINDOW)))  # as replays that were killed may leave it
        with alpha.broker.connect(alpha.vhost) as connection:
            connection.channel().queue_delete("alpha")
        done = alpha.run("dead-letters", "magic", "replay", "one")
        assert "one stays: exchange 'alpha' leads to no queue. Start a worker of it, which declares it." in done.stderr
        wait_until(lambda: waiting(alpha, "alpha.dead") == WINDOW, what="they are back")


class TestAPurge:
    def test_asks_first(self, alpha: Node) -> None:
        bury(alpha, "alpha", [task(id="one"), task(id="two")])
        done = alpha.run("dead-letters", "magic", "purge")
        assert done.returncode == FAILURE
        assert "magic has 2 to purge; say --yes where nobody can be asked. Nothing was purged." in done.stderr
        assert answered(alpha, "n") == FAILURE
        wait_until(lambda: waiting(alpha, "alpha.dead") == 2, what="they are back")
        assert answered(alpha, "y") == OK
        assert waiting(alpha, "alpha.dead") == 0

    def test_takes_what_was_named_and_nothing_else(self, alpha: Node) -> None:
        bury(alpha, "alpha", [task(id="one"), task(id="two")])
        assert desk(alpha, "purge", "one", "--yes") == {"purged": [{"id": "one", "queue": "alpha"}]}
        assert [letter["id"] for letter in letters(alpha)] == ["two"]

    def test_of_nothing_is_nothing(self, alpha: Node) -> None:
        assert alpha.run("dead-letters", "magic", "purge").stdout == "magic: 0 purged\n"


def answered(node: Node, answer: str) -> int:
    """Purge all at a terminal where somebody answers; return the exit status."""
    terminal, end = os.openpty()
    command = [sys.executable, "-m", "agent", "dead-letters", "magic", "purge"]
    process = subprocess.Popen(command, env=node.environment(), stdin=end, stdout=end, stderr=end)
    os.close(end)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, f"{answer}\n".encode())
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    return process.wait(60)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("magick",), NO_SUCH_INSTANCE, "There is no instance 'magick'"),
        (("magic", "--queue", "alpah"), FAILURE, "hosts no queue 'alpah'. Did you mean 'alpha'?"),
        (("magic", "show", "nowhere"), FAILURE, "No dead letter has the id 'nowhere'; nothing was done."),
        (("magic", "replay", "one", "nowhere"), FAILURE, "No dead letter has the id 'nowhere'; nothing was done."),
        (("magic", "replay", "o"), FAILURE, "Several dead letters have ids that begin with 'o' (one, only)"),
        (("magic", "replay"), FAILURE, "Name the ids of the letters to replay, or say --all."),
        (("magic", "replay", "one", "--all"), FAILURE, "Name the ids of the letters to replay, or say --all."),
        (("magic", "show"), USAGE, "the following arguments are required: ID"),
        (("magic", "bury", "one"), USAGE, "invalid choice: 'bury'"),
        (("magic", "--user", "me"), FAILURE, "--user and --password-file go together"),
        (
            ("magic", "--user", "me", "--password-file", "/nowhere"),
            FAILURE,
            "--password-file names /nowhere, which can't be read: No such file or directory.",
        ),
    ],
)
def test_what_can_t_be_done_is_one_line_and_nothing_is_done(
    alpha: Node, arguments: tuple[str, ...], status: int, said: str
) -> None:
    bury(alpha, "alpha", [task(id="one"), task(id="only")])
    done = alpha.run("dead-letters", *arguments)
    assert done.returncode == status
    assert said in done.stderr.splitlines()[-1]
    wait_until(lambda: waiting(alpha, "alpha.dead") == 2, what="they are back")
    assert waiting(alpha, "alpha") == 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RABBITMQ_PORT": "1"}, "Nothing listens there"),
        ({"RABBITMQ_PWD": "hunter2"}, "Correct RABBITMQ_USER and RABBITMQ_PWD"),
        ({"CELERY_TASKS_DELIVERY": "article"}, "CELERY_TASKS_DELIVERY=article keeps no dead letters"),
        ({"CELERY_TASKS_BROKER": "embedded"}, "The embedded broker keeps no dead letters"),
    ],
)
def test_a_broker_that_can_t_be_used_is_one_line(node: Node, variables: dict[str, str], said: str) -> None:
    node.variables |= variables
    node.configure("alpha")
    done = node.run("dead-letters", "magic")
    assert (done.returncode, done.stdout) == (FAILURE, "")
    (line,) = done.stderr.splitlines()
    assert said in line
    assert "hunter2" not in line
