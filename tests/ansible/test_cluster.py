"""Three brokers form a cluster that goes on while one of them is away, or all are restarted one after the other."""

import pytest

from tests.ansible import load
from tests.system.site import Site

BROKERS = ("broker1", "broker2", "broker3")
INSTANCES = {
    "naps": {
        "CELERY_AGENT_TASKS": "magic_consumer.tasks:Sleep",
        "CELERY_AGENT_PATH": "{{ code_paths.consumer }}:{{ code_paths.consumer }}/src",
    }
}


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    for name in BROKERS:
        empty.add(name, "brokers")
    # Not node1: the example inventory says what that one hosts.
    empty.add("worker1", "nodes", agent_instances=INSTANCES)
    empty.add("producer1", "producers")
    empty.add("stranger")
    empty.boot()
    empty.provision()
    return empty


def test_tasks_flow_and_a_second_run_changes_nothing(site: Site) -> None:
    assert site.send("SleepTask", 0.1) == "0.1"
    assert site.provision().changes == []
    site.provision("verify")


def test_the_ports_between_brokers_are_theirs_alone(site: Site) -> None:
    first = site.hosts["broker1"]
    assert site.reaches(site.hosts["broker2"], first.address, 25672)
    for name in ("worker1", "stranger"):
        assert not site.reaches(site.hosts[name], first.address, 25672)
        assert not site.reaches(site.hosts[name], first.address, 4369)


def test_tasks_flow_on_when_a_broker_loses_its_power(site: Site) -> None:
    load.begin(site, results="off")  # a queue for results dies with its broker: docs/delivery.md
    site.hosts["broker1"].crash()
    # Who sends in the seconds in which nobody knows yet that it is gone is told that the task may not be there.
    site.wait_for(lambda: site.sends("SleepTask", 0.1), "the other two do a task")
    site.hosts["broker1"].start()
    site.hosts["broker1"].wait_until_booted()
    found = load.end(site)
    assert len(found.accepted) > 20
    site.wait_for(lambda: set(found.accepted) <= load.done(site, "worker1"), "all that was accepted is done")
    site.provision("verify")


def test_new_settings_restart_one_broker_after_the_other_under_load(site: Site) -> None:
    load.begin(site, results="off")
    site.set(broker_settings={"disk_free_limit.absolute": "900MB", "heartbeat": 20})
    played = site.provision("broker")
    assert all(played.changed[name] > 0 for name in BROKERS)
    found = load.end(site)
    assert len(found.accepted) > 20
    site.wait_for(lambda: set(found.accepted) <= load.done(site, "worker1"), "all that was accepted is done")
    site.provision("verify")
