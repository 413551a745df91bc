"""A status as Prometheus reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cli.monitoring.exposition import Sight, exposition
from agent.cli.monitoring.families import FAMILIES
from agent.decide.status import CertificateStatus, EntryStatus, QueueStatus, ScheduleStatus, Status
from agent.decide.words import Word
from tests.exposed import parsed
from tests.unit.test_render import QUEUE, STATUS

NAMED = replace(QUEUE, health="busy", health_age=3.0)
OF_QUEUE = {"agent": "magic", "queue_name": "emails"}


def told(*queues: QueueStatus, status: Status = STATUS) -> dict[str, list[tuple[dict[str, str], float]]]:
    return parsed(exposition(FAMILIES, [Sight("magic", "node-1", replace(status, queues=queues))]))


def test_a_line_has_a_name_labels_and_a_value_and_stands_below_what_it_means() -> None:
    lines = exposition(FAMILIES, [Sight("magic", "node-1", replace(STATUS, queues=(NAMED,)))]).splitlines()
    at = lines.index('celery_task_failed_total{hostname="node-1",agent="magic",queue_name="emails"} 2')
    assert lines[at - 2 : at] == [
        "# HELP celery_task_failed_total Tasks that failed for good.",
        "# TYPE celery_task_failed_total counter",
    ]


def test_an_instance_of_which_nothing_is_known_is_not_up_and_nothing_else() -> None:
    assert parsed(exposition(FAMILIES, [Sight("magic", "node-1", None)])) == {
        "celery_agent_up": [({"agent": "magic"}, 0.0)]
    }


def test_what_the_agent_can_not_write_is_a_metric() -> None:
    (full,) = told(status=replace(STATUS, unkept="the disk is full"))["celery_agent_state_writable"]
    (good,) = told()["celery_agent_state_writable"]
    assert (full, good) == (({"agent": "magic"}, 0.0), ({"agent": "magic"}, 1.0))


def test_each_family_stands_once_with_all_instances_below_it() -> None:
    sights = [Sight(name, "node-1", replace(STATUS, queues=(NAMED,))) for name in ("magic", "other")]
    text = exposition(FAMILIES, [*sights, Sight("third", "node-1", None)])
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert [labels["agent"] for labels, _ in parsed(text)["celery_agent_up"]] == ["magic", "other", "third"]


def test_what_is_not_known_has_no_line_and_what_is_0_has_one() -> None:
    blind = replace(
        NAMED,
        waiting=None,
        consumers=None,
        rate_in=None,
        rate_out=None,
        oldest=None,
        memory=None,
        cpu=None,
        processes=0,
    )
    found = told(blind)
    unknown = {
        "celery_queue_length", "celery_active_consumer_count", "celery_agent_queue_rate_in", "celery_agent_queue_rate_out",
        "celery_agent_queue_oldest_seconds", "celery_agent_queue_memory_bytes", "celery_agent_queue_cpu_seconds",
        "celery_agent_queue_processes", "celery_agent_queue_memory_max_bytes", "celery_agent_schedule_leads",
        "celery_agent_queue_dead_letters", "celery_agent_certificate_expires_timestamp_seconds",
    }  # fmt: skip
    assert unknown & set(found) == set()
    assert set(found) == {family.name for family in FAMILIES} - unknown
    assert found["celery_agent_queue_restarts_total"] == [(OF_QUEUE, 0.0)]


def test_a_queue_in_which_nothing_waits_has_no_old_message() -> None:
    found = told(replace(NAMED, waiting=0, oldest=None))
    assert found["celery_agent_queue_oldest_seconds"] == [(OF_QUEUE, 0.0)]


def test_of_the_words_of_health_one_is_1_and_all_others_are_0() -> None:
    found = {labels["health"]: value for labels, value in told(NAMED)["celery_agent_queue_health"]}
    assert found == {**dict.fromkeys([*Word], 0.0), "busy": 1.0}


def test_a_word_of_a_newer_agent_is_told_as_it_is() -> None:
    found = {
        labels["health"]: value for labels, value in told(replace(NAMED, health="tired"))["celery_agent_queue_health"]
    }
    assert found == {**dict.fromkeys([*Word], 0.0), "tired": 1.0}


def test_an_agent_of_a_former_release_has_no_health() -> None:
    assert not {"celery_agent_queue_health", "celery_agent_queue_health_seconds"} & set(told(QUEUE))


def test_a_queue_that_is_to_go_is_not_missed() -> None:
    assert "celery_worker_up" not in told(replace(NAMED, wanted=False, consuming=False))


def test_who_sends_the_periodic_tasks_is_told() -> None:
    schedule = ScheduleStatus("celery.schedule", "tasks:SCHEDULE", True, (EntryStatus("nightly", None, 5.0),), 1)
    found = told(NAMED, status=replace(STATUS, schedule=schedule))
    assert found["celery_agent_schedule_leads"] == [({"agent": "magic"}, 1.0)]


def test_nobody_is_missed_who_would_have_nothing_to_watch() -> None:
    schedule = ScheduleStatus("emails", "tasks:SCHEDULE", True, (), 0)
    alone = replace(STATUS, schedule=schedule, watcher="there is no queue to watch")
    assert "celery_agent_watcher_up" not in told(NAMED, status=alone)
    assert told(NAMED, replace(NAMED, queue="q"), status=alone)["celery_agent_watcher_up"] == [
        ({"agent": "magic"}, 0.0)
    ]


def test_a_number_that_is_none_does_not_hide_the_others() -> None:
    found = told(replace(NAMED, rate_in=float("inf"), rate_out=float("nan")))
    assert found["celery_agent_queue_rate_in"] == [(OF_QUEUE, float("inf"))]
    assert found["celery_queue_length"] == [(OF_QUEUE, 12.0)]


def test_dead_letters_and_certificates_are_told_where_they_are_known() -> None:
    url = "amqps://magic:**@broker:5671//"
    certificates = (CertificateStatus(url, "broker", 1e9), CertificateStatus(url, "own", 2e9))
    found = told(replace(NAMED, dead=3), status=replace(STATUS, certificates=certificates))
    assert found["celery_agent_queue_dead_letters"] == [(OF_QUEUE, 3.0)]
    assert found["celery_agent_certificate_expires_timestamp_seconds"] == [
        ({"agent": "magic", "broker": url, "whose": "broker"}, 1e9),
        ({"agent": "magic", "broker": url, "whose": "own"}, 2e9),
    ]


@pytest.mark.parametrize(
    "name", ['a"b', "a\\nb", "a\nb", 'x"} 1\ncelery_agent_up{agent="forged"} 1\n', "größe", "a\rb\x1b[2J", "{}"]
)
def test_a_name_of_others_is_read_as_it_is_and_forges_nothing(name: str) -> None:
    found = told(replace(NAMED, queue=name))
    assert found["celery_queue_length"] == [({"agent": "magic", "queue_name": name}, 12.0)]
    assert found["celery_agent_up"] == [({"agent": "magic"}, 1.0)]


def test_a_name_that_no_encoding_has_does_no_harm() -> None:
    text = exposition(FAMILIES, [Sight("magic", "node-1", replace(STATUS, queues=(replace(NAMED, queue="a\udc80"),)))])
    assert parsed(text.encode().decode())["celery_queue_length"][0][0]["queue_name"] == "a\\udc80"


def test_no_label_tells_a_task() -> None:
    busy = replace(NAMED, active=(replace(QUEUE.active[0], id="an-id", name="a-name"),))
    assert not any(
        word in exposition(FAMILIES, [Sight("m", "h", replace(STATUS, queues=(busy,)))]) for word in ("an-id", "a-name")
    )
