"""What a real journald makes of what the agent, its workers and their tasks say."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.system.fleet import Fleet
from tests.system.service import Service
from tests.waiting import wait_until

TALK = """
import logging, os
import celery

class Talk(celery.Task):
    name = "talk"

    def run(self, action, value):
        if action == "print":
            print(value)
        elif action == "log":
            logging.getLogger("mine").error(value)
        elif action == "large":
            logging.getLogger("mine").info("x" * value)
        elif action == "program":
            os.system("echo from a program >&2")
        return [os.getpid(), self.request.id]
"""


@pytest.fixture
def talk(fleet: Fleet) -> Iterator[Service]:
    """The instance magic with a talkative task, running."""
    fleet.node.write("/srv/magic/talk_tasks.py", TALK)
    service = Service(fleet.node, "magic", replace(fleet.magic.code, module="talk_tasks"))
    service.configure("Talk")
    service.systemctl("start")
    yield service
    service.reset()


def test_a_task_s_message_is_one_record_that_is_found_by_queue_and_task(talk: Service) -> None:
    pid, task = talk.send("Talk", "print", "one\ntwo\n\nthree")
    wait_until(lambda: talk.records(CELERY_TASK_ID=task, PRIORITY="6"))
    record = next(each for each in talk.records(CELERY_QUEUE="talk") if each["MESSAGE"] == "one\ntwo\n\nthree")
    expected = {
        "CELERY_TASK_ID": task,
        "CELERY_TASK_NAME": "talk",
        "CELERY_INSTANCE": "magic",
        "SYSLOG_IDENTIFIER": "celery-agent@magic/talk",
        "_SYSTEMD_UNIT": "celery-agent@magic.service",
        "_TRANSPORT": "journal",
        "_PID": str(pid),
    }
    assert expected.items() <= record.items()
    assert f"celery-agent@magic/talk[{pid}]: one" in talk.journal("--output=short")


def test_a_logger_s_level_is_the_record_s_priority(talk: Service) -> None:
    _, task = talk.send("Talk", "log", "alas")
    wait_until(lambda: talk.records(CELERY_TASK_ID=task, PRIORITY="3"))
    assert [record["MESSAGE"] for record in talk.records(CELERY_TASK_ID=task, PRIORITY="3")] == ["alas"]


def test_a_message_larger_than_a_datagram_is_kept_whole(talk: Service) -> None:
    _, task = talk.send("Talk", "large", 1_000_000)
    wait_until(lambda: talk.records(CELERY_TASK_ID=task, LOGGER="mine"))
    assert [len(record["MESSAGE"]) for record in talk.records(CELERY_TASK_ID=task, LOGGER="mine")] == [1_000_000]


def test_what_does_not_pass_through_python_is_kept_too(talk: Service) -> None:
    talk.send("Talk", "program", None)
    wait_until(lambda: [each for each in talk.records(_TRANSPORT="stdout") if each["MESSAGE"] == "from a program"])


def test_what_happened_to_a_worker_is_found_by_its_event(talk: Service) -> None:
    talk.host.run("kill", "-KILL", str(talk.queue("talk")["pid"]))
    wait_until(lambda: len(talk.records(CELERY_EVENT="worker-consuming", CELERY_GENERATION="2")) > 0)
    record = talk.records(CELERY_EVENT="worker-exited", CELERY_QUEUE="talk")[-1]
    assert (record["CELERY_STATUS"], record["PRIORITY"]) == ("killed by SIGKILL", "4")
