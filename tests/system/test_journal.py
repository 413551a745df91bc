"""What a real journald makes of what the agent, its workers and their tasks say."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.system.fleet import Fleet
from tests.system.service import Service
from tests.waiting import wait_until

TALK = """
import logging, os, time
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
        elif action == "sleep":
            time.sleep(value)
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
    fleet.broker.run("rabbitmqctl", "--quiet", "purge_queue", "--vhost=magic", "talk")  # what was given back


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


def test_the_story_of_a_task_has_its_deliveries_what_it_said_and_who_runs_it(talk: Service) -> None:
    _, task = talk.send("Talk", "print", "one\ntwo")
    told = wait_until(lambda: text if "succeeded" in (text := talk.agent("task", task)) else "") or ""
    assert told.startswith(f"talk[{task}]: received once\n")
    assert " one\n" in told
    assert "not known" not in told
    talk.send_and_leave("Talk", "sleep", 600)
    task = wait_until(lambda: next((each["id"] for each in talk.queue("talk")["active"]), "")) or ""
    talk.host.run("kill", "-KILL", str(talk.queue("talk")["pid"]))
    wait_until(lambda: talk.queue("talk")["generation"] == 2 and talk.queue("talk")["active"])
    told = wait_until(lambda: text if "received 2 times" in (text := talk.agent("task", task, "magic")) else "") or ""
    assert "received 2 times, talk of magic runs it, for " in told.splitlines()[0]
    assert "worker-exited" in told
    value = json.loads(talk.agent("task", task, "--json"))
    assert (value["id"], value["unknown"], value["letters"]) == (task, [], [])
    nothing = talk.host.attempt("/opt/celery-agent/current/bin/agent", "task", "no-such-task", "magic")
    assert (nothing.returncode, nothing.stdout) == (1, "no-such-task: nothing is known of it here\n")


def test_what_does_not_pass_through_python_is_kept_too(talk: Service) -> None:
    talk.send("Talk", "program", None)
    wait_until(lambda: [each for each in talk.records(_TRANSPORT="stdout") if each["MESSAGE"] == "from a program"])


def test_what_happened_to_a_worker_is_found_by_its_event(talk: Service) -> None:
    talk.host.run("kill", "-KILL", str(talk.queue("talk")["pid"]))
    wait_until(lambda: len(talk.records(CELERY_EVENT="worker-consuming", CELERY_GENERATION="2")) > 0)
    record = talk.records(CELERY_EVENT="worker-exited", CELERY_QUEUE="talk")[-1]
    assert (record["CELERY_STATUS"], record["PRIORITY"]) == ("killed by SIGKILL", "4")
