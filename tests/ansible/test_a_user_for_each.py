"""A node where all instances run as one user, as a former release left it, goes over to a user for each while tasks flow."""

import json

import pytest

from tests.ansible import load
from tests.system.site import Site

PATH = "{{ code_paths.consumer }}:{{ code_paths.consumer }}/src"
INSTANCES = {
    "naps": {"CELERY_AGENT_TASKS": "magic_consumer.tasks:Sleep", "CELERY_AGENT_PATH": PATH},
    "magic.too": {"CELERY_AGENT_TASKS": "magic_consumer.tasks:ActualMagicCeleryTask", "CELERY_AGENT_PATH": PATH},
}
ONE_USER = dict.fromkeys(INSTANCES, "celery-agent")
USERS = {"naps": "celery-naps", "magic.too": "celery-magic_too-bbf5165b"}  # a user's name has no dots

# What differed: the unit named the user, and the folder of env files was for the group of that.
FORMER = """
cd /etc/systemd/system
rm -r celery-agent@?*.service.d /etc/sysusers.d/celery-agent-instances.conf
sed -i 's/^User=.*/User=celery-agent/' celery-agent@.service
chmod 750 /etc/celery-agent /etc/celery-agent/candidates /etc/celery-agent/applied
chgrp celery-agent /etc/celery-agent /etc/celery-agent/candidates /etc/celery-agent/applied
systemctl daemon-reload
systemctl restart 'celery-agent@*'
"""


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    empty.add("broker1", "brokers")
    empty.add("one", "nodes", agent_instances=INSTANCES)
    empty.add("producer1", "producers")
    empty.boot()
    empty.set(fleet_own_accounts=ONE_USER)
    empty.provision()
    return empty


def users(site: Site) -> dict[str, str]:
    """Return who each instance's agent runs as."""
    pids = {name: str(site.status("one", name)["pid"]) for name in INSTANCES}
    return {name: site.hosts["one"].run("ps", "-o", "user:32=", "-p", pid).strip() for name, pid in pids.items()}


def test_one_user_for_all_is_run_as_that_and_verify_says_what_it_means(site: Site) -> None:
    assert users(site) == ONE_USER
    assert "one is one trust domain" in site.provision("verify").words
    assert site.provision("agent").changes == []


def test_a_node_of_a_former_release_goes_over_without_losing_a_task(site: Site) -> None:
    node = site.hosts["one"]
    node.run("sh", "-euc", FORMER)
    node.run("install", "-o", "celery-agent", "-g", "celery-agent", "/dev/null", "/var/lib/celery-agent/naps/result")
    site.set(fleet_own_accounts={})
    site.provision("agent", "--check", "--diff")
    assert users(site) == ONE_USER
    load.begin(site)
    site.provision("agent")
    found = load.end(site)
    assert len(found.accepted) > 20
    assert (found.refused, set(found.answered)) == ([], set(found.accepted))
    assert users(site) == USERS
    for path in ("/var/lib/celery-agent/naps/result", "/run/celery-agent/naps/lock"):
        assert node.run("stat", "--format=%U:%G", path) == "celery-naps:celery-naps\n"
    for name, user in USERS.items():
        assert node.run("stat", "--format=%a %U:%G", f"/etc/celery-agent/{name}.env") == f"640 root:{user}\n"


def test_a_second_run_changes_nothing_and_it_is_as_declared(site: Site) -> None:
    assert site.provision("agent").changes == []
    assert "trust domain" not in site.provision("verify").words
    assert site.provision("agent", "--check", "--diff").changes == []


def test_an_instance_that_leaves_takes_what_was_said_of_it_along_and_leaves_its_user(site: Site) -> None:
    node = site.hosts["one"]
    leaving = json.dumps({"agent_instances": {"naps": INSTANCES["naps"]}})
    site.provision("agent", "--extra-vars", leaving)
    assert node.attempt("sh", "-c", "ls -d /etc/celery-agent/magic.too* /etc/systemd/system/*magic.too*").stdout == ""
    assert node.run("id", "-nu", USERS["magic.too"])
    assert site.send("SleepTask", 0.1) == "0.1"


def test_a_name_that_no_user_can_have_is_refused_before_anything_is_changed(site: Site) -> None:
    played = site.play("agent", "--extra-vars", json.dumps({"fleet_own_accounts": {"naps": "root"}}))
    assert played.status != 0
    assert "agent_accounts of one has root for instance naps" in played.words
    assert set(played.changed.values()) == {0}
