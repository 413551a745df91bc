"""One playbook makes a fleet of bare hosts: tasks flow, a second run changes nothing, and strangers are kept out.

The short form; the rest of deploy/ansible is played by tests/ansible (`make test-ansible`).
"""

from collections.abc import Iterator

import pytest

from tests.system.lab import Lab
from tests.system.release import CURRENT
from tests.system.site import Site
from tests.system.small_site import OWN, assert_no_secret_was_printed, small_site

CLUSTER_PORT = 25672  # where a broker listens for others, of which there are none here
METRICS_PORT = 9808
SCRAPE = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{METRICS_PORT}/metrics').read().decode())"


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_site(lab, tmp_path_factory.mktemp("site")) as site:
        yield site


def test_tasks_flow_after_one_run(site: Site) -> None:
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"


def test_a_second_run_changes_nothing_and_neither_prints_a_secret_with_three_v_and_diff(site: Site) -> None:
    assert site.provision().changes == []
    assert_no_secret_was_printed(site)


def test_prometheus_is_told_on_the_node_and_nowhere_else(site: Site) -> None:
    node = site.hosts["node1"]
    said = node.run(f"{CURRENT}/bin/python", "-c", SCRAPE)
    assert 'celery_agent_up{agent="magic"} 1\n' in said
    assert 'celery_worker_up{hostname="node1",agent="words",queue_name="count_words"} 1\n' in said
    assert site.reaches(node, "127.0.0.1", METRICS_PORT)
    assert not site.reaches(site.hosts["broker1"], node.address, METRICS_PORT)


def test_a_broker_is_open_to_the_fleet_and_closed_to_strangers_over_either_protocol(site: Site) -> None:
    broker, node, stranger = (site.hosts[name] for name in ("broker1", "node1", "stranger"))
    assert site.reaches(broker, "127.0.0.1", CLUSTER_PORT)  # it is there to be reached
    for address in (broker.address, broker.address6):
        assert site.reaches(node, address, 5671)
        assert not site.reaches(node, address, CLUSTER_PORT)
        assert not site.reaches(stranger, address, 5671)
        assert site.reaches(stranger, address, 22)  # what is not the fleet's is left alone


def test_a_producer_with_an_environment_of_its_own_has_the_library_from_the_release(site: Site) -> None:
    producer = site.hosts["producer1"]
    producer.run("sh", "-euc", OWN)
    assert site.send("MagicCeleryTask", 1, 2, 3, python=f"PYTHONPATH={CURRENT}/library /srv/own/bin/python") == "6"
