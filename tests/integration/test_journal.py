"""The journal: what the agent, its workers and their tasks say, as records with fields, at a real socket.

`tests/system/test_journal.py` asks a real journald.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.guest import journal as protocol
from agent.run.logs import Log
from tests.journal import Journal, Record
from tests.node import Node
from tests.waiting import wait_until

TALK = """
import logging, os, sys
import celery
from celery.utils.log import get_task_logger

class Alpha(celery.Task):
    name = "alpha"
    def run(self, action="return", value=None):
        if action == "print":
            print(*value)
        elif action == "write":
            sys.stderr.write(value)
        elif action == "log":
            logging.getLogger("mine").error(value)
        elif action == "task log":
            get_task_logger(__name__).info(value)
        elif action == "large":
            logging.getLogger("mine").info("x" * value)
        elif action == "fail":
            raise ValueError(value)
        elif action == "secret":
            print(os.environ["API_TOKEN"])
        return os.getpid()
"""

# Fails where workers are forked from, and not where the planner looks.
CARELESS = """
import json, os
if open("/proc/self/comm").read() == "agent-template\\n":
    print(json.dumps([os.environ["API_TOKEN"]]), flush=True)
    raise OSError(os.environ["API_TOKEN"])
"""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.sock") as journal:
        yield journal


@pytest.fixture
def talking(node: Node, journal: Journal) -> Node:
    """A node that is not started, whose stderr leads to the journal, and that has a queue of talkative tasks."""
    (node.code / "talk.py").write_text(TALK)
    node.wrapper = journal.wrapper()
    node.configure("alpha", TASKS="talk:Alpha")
    return node


def start(node: Node) -> None:
    node.log.touch()
    status = node.log.stat()
    node.start(JOURNAL_STREAM=f"{status.st_dev}:{status.st_ino}")
    node.wait_until_consuming()


def read_all(receiver: socket.socket) -> None:
    try:
        while True:
            receiver.recv(65_536)
    except BlockingIOError:
        pass


def one(journal: Journal, **fields: str) -> Record:
    """Return the only record with these fields, once it is there."""
    wait_until(lambda: journal.records(**fields), what=f"a record with {fields}")
    (record,) = journal.records(**fields)
    return record


def test_the_agent_s_facts_have_their_values_as_fields(talking: Node, journal: Journal) -> None:
    start(talking)
    record = one(journal, CELERY_EVENT="worker-consuming")
    expected = {
        "MESSAGE": "worker-consuming queue=alpha generation=1",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "celery-agent@magic",
        "CELERY_INSTANCE": "magic",
        "CELERY_QUEUE": "alpha",
        "CELERY_GENERATION": "1",
        "CODE_FUNC": "_reported",
    }
    assert expected.items() <= record.items()


def test_a_worker_that_ends_unasked_is_a_warning(talking: Node, journal: Journal) -> None:
    start(talking)
    os.kill(talking.pids()["alpha"], 9)
    assert one(journal, CELERY_EVENT="worker-exited")["PRIORITY"] == "4"


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_task_s_messages_are_one_record_each_and_have_its_id(talking: Node, journal: Journal, pool: str) -> None:
    talking.configure("alpha", TASKS="talk:Alpha", DEFAULTS__POOL=pool)
    start(talking)
    pid = talking.send("alpha", "print", ["one\n two", 3])
    talking.send("alpha", "write", "no newline at the end")
    talking.send("alpha", "log", "an error\nof two lines")
    talking.send("alpha", "task log", "of the task")
    printed, written, logged, task_logged = (
        one(journal, MESSAGE=message)
        for message in ("one\n two 3", "no newline at the end", "an error\nof two lines", "of the task")
    )
    records = (printed, written, logged, task_logged)
    assert [record["PRIORITY"] for record in records] == ["6", "4", "3", "6"]
    assert logged["LOGGER"] == "mine"
    of_the_worker = {
        "CELERY_INSTANCE": "magic",
        "CELERY_QUEUE": "alpha",
        "CELERY_GENERATION": "1",
        "CELERY_TASK_NAME": "alpha",
        "SYSLOG_IDENTIFIER": "celery-agent@magic/alpha",
        "CODE_FILE": str(talking.code / "talk.py"),
    }
    assert [record for record in records if not of_the_worker.items() <= record.items()] == []
    assert len({record["CELERY_TASK_ID"] for record in records}) == 4
    assert [sender for sender, record in journal.received if record is printed] == [pid]


def test_what_celery_says_of_a_task_has_its_id_too(talking: Node, journal: Journal) -> None:
    start(talking)
    talking.send("alpha", "print", ["x"])
    task = one(journal, MESSAGE="x")["CELERY_TASK_ID"]
    wait_until(lambda: len(journal.records(CELERY_TASK_ID=task)) == 3)
    assert [record["CODE_FUNC"] for record in journal.records(CELERY_TASK_ID=task)] == [
        "task_message_handler",
        "run",
        "info",
    ]


def test_a_traceback_stays_in_the_record_of_its_error(talking: Node, journal: Journal) -> None:
    start(talking)
    talking.send_and_leave("alpha", "fail", "alas")
    wait_until(lambda: journal.records(PRIORITY="3"))
    (record,) = journal.records(PRIORITY="3")
    assert "raised unexpected" in record["MESSAGE"]
    assert "Traceback (most recent call last)" in record["MESSAGE"]
    assert record["MESSAGE"].endswith("ValueError: alas")
    assert record["CELERY_TASK_NAME"] == "alpha"


def test_a_message_larger_than_a_datagram_arrives_whole(talking: Node, journal: Journal) -> None:
    start(talking)
    talking.send("alpha", "large", 1_000_000)
    assert one(journal, LOGGER="mine")["MESSAGE"] == "x" * 1_000_000


def test_no_secret_is_written_down(talking: Node, journal: Journal) -> None:
    with talking.env_file.open("a") as file:
        file.write("API_TOKEN=swordfish\n")
    start(talking)
    talking.send("alpha", "secret")
    assert one(journal, CODE_FUNC="run")["MESSAGE"] == "**"


def test_where_stderr_is_a_file_there_are_plain_lines_and_no_secret(talking: Node, journal: Journal) -> None:
    with talking.env_file.open("a") as file:
        file.write("API_TOKEN='sword\"fish'\nCELERY_AGENT_PRELOAD=careless\n")
    (talking.code / "careless.py").write_text(CARELESS)
    talking.start()
    talking.wait_until_consuming()
    talking.send("alpha", "secret")
    talking.send("alpha", "log", "an error")
    talking.stop()
    lines = talking.log.read_text()
    assert "celery-agent[magic]: worker-consuming queue=alpha generation=1\n" in lines
    assert "an error\n" in lines
    assert "careless could not be preloaded: OSError: **\n" in lines
    assert '["**"]\n' in lines
    assert "fish" not in lines
    assert journal.received == []


def test_a_journal_that_hangs_loses_messages_and_is_told_how_many(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hung:
        hung.bind(path)
        log = Log("magic", protocol.Journal(path, patience=0.05))
        for number in range(2_000):  # more than any kernel keeps for a reader; in no time, or this test would not end
            log.fact("fact", number=number)
        hung.setblocking(False)
        read_all(hung)
        log.fact("fact", number=2_000)
        assert b"CELERY_NUMBER=2000\n" in hung.recv(65_536)
        assert b"MESSAGE=messages-lost count=" in hung.recv(65_536)
