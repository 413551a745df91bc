"""The dead-letter desk on a real broker: what it lists and why it is there, and what it refuses to do."""

from __future__ import annotations

import json

import amqp
import pytest

from agent.errors import FAILURE, NO_SUCH_INSTANCE, OK, USAGE
from tests.integration.dead_letters import bury, declare, letters, task, waiting
from tests.node import Node
from tests.waiting import wait_until


class TestAListing:
    @pytest.mark.rabbitmq_4
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

    def test_is_a_part_of_a_task_s_story(self, alpha: Node) -> None:
        bury(alpha, "alpha", [task("omega", id="unknown-1"), task("alpha", "return", value=1, id="unknown-12")])
        told = alpha.run("task", "unknown-1", "magic")
        assert (told.returncode, told.stdout.splitlines()[0]) == (OK, "omega[unknown-1]: a dead letter of alpha")
        assert "dead letter: unknown: queue 'alpha' hosts no task of that name" in told.stdout
        assert alpha.run("task", "unknown-1", "magick").returncode == NO_SUCH_INSTANCE
        nothing = alpha.run("task", "unknown-2")
        assert (nothing.returncode, nothing.stdout.splitlines()[0]) == (
            FAILURE,
            "unknown-2: nothing is known of it here",
        )

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
        assert ", and not to the journal" in alpha.run("task", "unknown", "magic").stdout
        found = {letter["id"]: letter["reason"] for letter in letters(alpha)}
        known = {name: found.pop(name) for name in ("unknown", "arguments", "broken", "strange")}
        expected = {"unknown": "unknown", "arguments": "arguments", "broken": "undecodable", "strange": "undecodable"}
        assert known == expected
        assert list(found.values()) == ["crashes"]
        assert alpha.send("alpha", "return", 1) == 1

    @pytest.mark.rabbitmq_4
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


def test_the_check_says_how_many_there_are_and_where_to_look(node: Node) -> None:
    node.configure("alpha", "beta")
    assert ".dead" not in node.run("check", "magic").stdout
    bury(node, "alpha", [task(), task()])
    bury(node, "beta", [task("beta")])
    checked = node.run("check", "magic")
    advice = "`agent dead-letters magic` says why, and replays or purges them."
    assert f"magic: warn  letters   2 dead letters in alpha.dead: {advice}" in checked.stdout
    assert f"magic: warn  letters   1 dead letter in beta.dead: {advice}" in checked.stdout
    assert checked.returncode == OK


def test_a_letter_is_shown_whole(alpha: Node) -> None:
    bury(alpha, "alpha", [task("alpha", "x" * 100, id="0123-4567"), task(id="0199")])
    (letter,) = letters(alpha, "show", "0123")
    assert letter["args"] == ["x" * 100]
    assert json.loads(letter["body"])[0] == ["x" * 100]
    assert letter["headers"]["x-first-death-queue"] == "alpha"
    text = alpha.run("dead-letters", "magic", "show", "0123-4567").stdout
    assert text.startswith("id           0123-4567\nqueue        alpha\n")
    assert "x" * 100 in text


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
            ("magic", "--user", "me", "--password-file", "/dev/null"),
            FAILURE,
            "--password-file names /dev/null, which is empty",
        ),
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
