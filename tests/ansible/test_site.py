"""One playbook makes a fleet of bare hosts: tasks flow, a second run changes nothing, and packets go where they may.

The short form, for `make test`, is tests/system/test_playbooks.py.
"""

from collections.abc import Iterator

import pytest

from tests.system.lab import CONTROL_NODE, Lab
from tests.system.site import Played, Site

# Ansible's own files are in /tmp and root's home; a dry run reads the lists of packages anew.
WRITTEN = """
find / -xdev -newer /run/mark -type f ! -path '/tmp/*' ! -path '/root/*' ! -path '/var/log/*' ! -path '/var/lib/apt/*' \
    ! -path '/var/cache/apt/*' ! -path '/var/lib/systemd/*'
"""
OTHER_PORTS = (4369, 25672)  # of a broker, and for nobody


@pytest.fixture(scope="module")
def bare(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Hosts on which nothing was done yet: a broker, two nodes, a producer and a stranger."""
    site = Site(lab, tmp_path_factory.mktemp("fleet"))
    site.add("broker1", "brokers")
    site.add("node1", "nodes", "desks")
    site.add("node2", "nodes")
    site.add("producer1", "producers")
    site.add("stranger")
    site.boot()
    yield site
    site.close()


@pytest.fixture(scope="module")
def dry_run(bare: Site) -> Played:
    """A dry run on the bare hosts, after which they are seen to be as bare as before."""
    for host in bare.hosts.values():
        host.run("touch", "/run/mark")
    played = bare.provision("site", "--check", "--diff")
    written = {name: host.run("sh", "-c", WRITTEN) for name, host in bare.hosts.items()}
    assert set(written.values()) == {""}, written
    assert not (bare.inventory / "authority").exists()
    return played


@pytest.fixture(scope="module")
def first_run(bare: Site, dry_run: Played) -> Played:
    return bare.provision()


@pytest.fixture(scope="module")
def site(bare: Site, first_run: Played) -> Site:
    return bare


def test_tasks_flow_after_one_run(site: Site) -> None:
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
    assert site.send("CountWordsTask", "a b a") == "{'a': 2, 'b': 1}"


def test_a_dry_run_on_bare_hosts_foretells_changes_that_the_first_run_makes(dry_run: Played, first_run: Played) -> None:
    assert {name for name, count in dry_run.changed.items() if count} >= {"broker1", "node1", "node2", "producer1"}
    foretold = [task for task in dry_run.changes if "Say in a dry run" not in task]
    assert set(foretold) <= set(first_run.changes)


def test_a_second_run_changes_nothing_and_a_dry_run_says_so(site: Site) -> None:
    assert site.provision("site", "--check", "--diff").changes == []
    assert site.provision().changes == []


def test_a_dry_run_foretells_what_another_setting_changes(site: Site) -> None:
    settings = site.inventory / "host_vars/node2.yml"
    settings.write_text(settings.read_text().replace('sleep__CONCURRENCY: "4"', 'sleep__CONCURRENCY: "3"'))
    foretold = site.provision("agent", "--check", "--diff").changes
    before = site.status("node2", "words")["pid"]
    assert site.provision("agent").changes == foretold != []
    assert site.status("node2", "words")["pid"] == before  # a setting takes no restart
    assert site.provision("agent").changes == []


def test_a_broker_is_open_to_nodes_and_producers_and_closed_to_strangers(site: Site) -> None:
    broker = site.hosts["broker1"]
    for address in (broker.address, broker.address6):
        for name in ("node1", "node2", "producer1"):
            assert site.reaches(site.hosts[name], address, 5671), f"{name} to {address}"
            assert not any(site.reaches(site.hosts[name], address, port) for port in OTHER_PORTS)
        assert not site.reaches(site.hosts["stranger"], address, 5671)
        assert site.reaches(site.hosts["stranger"], address, 22)  # what is not the fleet's is left alone


def test_dead_letters_are_for_the_desk_and_for_nobody_else(site: Site) -> None:
    command = ("/opt/celery-agent/current/bin/agent", "dead-letters", "magic")
    desk = ("--user", "desk.node1", "--password-file", "/etc/celery-agent/desk.password")
    assert "no dead letters" in site.hosts["node1"].run(*command, *desk)
    assert site.hosts["node1"].attempt(*command).returncode != 0


def test_what_listens_on_the_closed_ports_is_there_to_be_reached(site: Site) -> None:
    assert all(site.reaches(site.hosts["broker1"], "127.0.0.1", port) for port in OTHER_PORTS)


def test_rules_that_cut_the_operator_off_are_taken_back_by_themselves(site: Site) -> None:
    before = site.hosts["broker1"].run("nft", "--stateless", "list", "table", "inet", "celery_agent")
    played = site.play(
        "broker", "--extra-vars", f'{{"firewall_lines": ["ip saddr {CONTROL_NODE} drop"], "firewall_rollback": 20}}'
    )
    assert played.status != 0
    assert "has its former rules again" in played.words
    assert site.hosts["broker1"].run("nft", "--stateless", "list", "table", "inet", "celery_agent") == before
    assert site.lab.ssh(site.hosts["broker1"], "hostname") == "broker1\n"
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"


def test_a_fleet_is_as_declared_until_somebody_flushes_its_rules(site: Site) -> None:
    site.provision("verify")
    site.hosts["broker1"].run("nft", "flush", "ruleset")
    played = site.play("verify")
    assert played.status != 0
    assert "was something flushed" in played.words
    site.provision("broker")
    site.provision("verify")
