"""`agent move-queue`: the tasks of a classic queue go into the safe one, while producers with the old settings go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.adopting import Adopted
from tests.node import children
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until


@pytest.fixture
def project(tmp_path: Path, broker: RabbitMQ, vhost: str) -> Iterator[Adopted]:
    """An instance that hosts the project, and beside it the project as it was before, for producers that run on."""
    project = Adopted(tmp_path, broker, vhost)
    project.write()
    project.configure("mail")
    before(project)
    yield project
    project.close()


def before(project: Adopted) -> Path:
    """Return the folder of the project as it was."""
    folder = project.code.parent / "before"
    folder.mkdir(exist_ok=True)
    now = (project.code / "proj.py").read_text()
    (folder / "proj.py").write_text("\n".join(line for line in now.splitlines() if "make_safe" not in line) + "\n")
    return folder


def start_move(project: Adopted, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "move-queue", "magic", "mail", *options],
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(move: subprocess.Popen[str]) -> None:
    """Kill a move at what it is doing: the process beside user code, and the command."""
    for pid in children(move.pid):
        os.kill(pid, signal.SIGKILL)
    move.kill()
    move.wait()


@pytest.mark.rabbitmq_4
def test_none_is_lost_or_run_twice_under_load_though_the_move_is_killed(
    project: Adopted, pytestconfig: pytest.Config, measured: Callable[[str], None]
) -> None:
    count = pytestconfig.getoption("--tasks")
    kills = max(2, count // 200)
    project.start()
    project.wait_until_consuming()
    with project.sending("mail", count, 0.01, before(project)):
        for number in range(1, kills + 1):
            move = start_move(project, "--for", "600")
            due = number * count // (kills + 2)
            wait_until(lambda due=due: sum(project.noted("run").values()) >= due, 300, f"{due} are run")  # type: ignore[misc]
            kill(move)
        move = start_move(project, "--for", "600")
    accepted = project.noted("accepted")
    wait_until(lambda: not accepted - project.noted("run"), 120, "all have been run")
    kill(move)
    last = json.loads(project.run("move-queue", "magic", "--delete", "--json").stdout)["moved"]
    wait_until(lambda: not project.broker.messages("mail.safe.moving", project.vhost), 30, "nothing is on the way")
    twice = sum(project.noted("run").values()) - count
    measured(f"move-queue under 100 tasks/s, {kills + 1} times kill -9: {count} accepted, 0 lost, {twice} run twice")
    assert (len(accepted), twice) == (count, 0)
    assert [(each["queue"], each["left"], each["deleted"]) for each in last] == [("mail", 0, True)]


def test_check_names_what_waits_and_the_command(project: Adopted) -> None:
    with project.sending("mail", 3, 0.0, before(project)):
        pass
    checked = project.run("check", "magic").stdout
    assert "has 3 waiting in 'mail', which this instance does not read since make_safe" in checked
    assert "`agent move-queue magic mail` moves them" in checked
    moved = project.run("move-queue", "magic")
    assert moved.stdout == "magic: mail: 3 moved; 0 wait in the old queue mail\n"
    wait_until(lambda: project.broker.messages("mail.safe", project.vhost) == 3, 30, "they are there")
    refused = project.run("move-queue", "magic", "mail", "--from", "mail.safe")
    assert (refused.returncode, refused.stderr) == (
        1,
        "agent: 'mail.safe' is the queue 'mail' itself: name the old one with --from.\n",
    )


def test_what_was_left_on_the_way_is_moved_once(project: Adopted) -> None:
    with project.sending("mail", 5, 0.0, before(project)):
        pass
    project.run("move-queue", "magic")
    with project.broker.connect(project.vhost) as connection:  # as a move that is killed before its acks leaves it
        channel = connection.channel()
        wait_until(lambda: project.broker.messages("mail.safe", project.vhost) == 5, 30, "they are there")
        for _ in range(5):
            message = channel.basic_get("mail.safe")
            for queue in ("mail", "mail.safe.moving"):
                channel.basic_publish(message, exchange="", routing_key=queue)
            channel.basic_ack(message.delivery_tag)
        channel.queue_declare("mail", passive=True)
    moved = project.run("move-queue", "magic")
    assert moved.stdout == "magic: mail: 5 moved; 0 wait in the old queue mail\n"
    wait_until(lambda: project.broker.messages("mail.safe", project.vhost) == 5, 30, "they are there once")


def test_a_second_move_and_a_queue_of_another_kind_are_one_line(project: Adopted) -> None:
    with project.broker.connect(project.vhost) as connection:
        connection.channel().queue_declare("mail.safe.moving.lock", exclusive=True)
        refused = project.run("move-queue", "magic")
        assert refused.stderr == "agent: Another move to 'mail' is under way: wait for its end.\n"
        connection.channel().queue_declare("mail.safe", durable=True, auto_delete=False)
    checked = project.run("check", "magic")
    [bad] = [line for line in checked.stdout.splitlines() if "FAIL" in line]
    assert "has a queue 'mail.safe' of another kind" in bad
    assert "inequivalent arg 'x-" in bad
    assert "agent move-queue magic" in bad
