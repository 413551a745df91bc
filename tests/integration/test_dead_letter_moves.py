"""The dead-letter desk on a real broker moves letters: a replay loses nothing, a purge asks first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from agent.errors import FAILURE, OK
from agent.guest.answer.letterbox import WINDOW
from tests.integration.dead_letters import (
    bury,
    desk,
    ids_in,
    letters,
    reject,
    started_desk,
    task,
    wait_until_grown,
    waiting,
)
from tests.node import Node, children
from tests.waiting import wait_until


class TestAReplay:
    @pytest.mark.rabbitmq_4
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
            # All of these are the broker's; 3.10 counts this very delivery, as the 0th.
            assert not [name for name, value in back.headers.items() if name.startswith("x-") and value]

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

    @pytest.mark.rabbitmq_4
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

    @pytest.mark.rabbitmq_4
    def test_of_all_ends_though_letters_die_again_at_once(self, alpha: Node) -> None:
        bury(alpha, "alpha", (task("omega", id=str(number)) for number in range(20)))
        alpha.start()
        alpha.wait_until_consuming()
        assert len(desk(alpha, "replay", "--all")["replayed"]) == 20
        wait_until(lambda: waiting(alpha, "alpha.dead") == 20, 60, "all are dead again")

    def test_killed_again_and_again_loses_nothing(self, alpha: Node) -> None:
        ids: set[str] = set()
        found: list[str] = []
        kills = rounds = 0
        # What a killed one held comes back when the broker has noticed: the next may begin without it, or find nothing.
        while kills < 3 or not ids <= set(found):
            assert (rounds := rounds + 1) < 60, f"{len(ids - set(found))} are lost"
            if kills < 3 and ids <= set(found):  # the last one was done before it was killed
                fresh = {f"letter-{number}" for number in range(len(ids), len(ids) + 400)}
                bury(alpha, "alpha", (task(id=each) for each in sorted(fresh)))
                ids |= fresh
            with started_desk(alpha, "replay", "--all") as process:
                wait_until_grown(alpha, "alpha", len(found) + 50, by=process)
                kills += process.poll() is None
                process.kill()  # its half beside user code dies with it
            found = ids_in(alpha, "alpha")
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

    @pytest.mark.rabbitmq_4
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
