"""One playbook makes a fleet of bare hosts: tasks flow, a second run changes nothing, and strangers are kept out.

The short form; the rest of deploy/ansible is played by tests/ansible (`make test-ansible`).
"""

from collections.abc import Iterator

import pytest

from tests.system.lab import Lab
from tests.system.site import Site

CLUSTER_PORT = 25672  # where a broker listens for others, of which there are none here


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(lab, tmp_path_factory.mktemp("site"))
    site.add("broker1", "brokers")
    site.add("node1", "nodes", "desks")
    site.add("producer1", "producers")
    site.add("stranger")
    site.boot()
    site.provision()
    yield site
    site.close()


def test_tasks_flow_after_one_run(site: Site) -> None:
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"


def test_a_second_run_changes_nothing(site: Site) -> None:
    assert site.provision().changes == []


def test_a_broker_is_open_to_the_fleet_and_closed_to_strangers_over_either_protocol(site: Site) -> None:
    broker, node, stranger = (site.hosts[name] for name in ("broker1", "node1", "stranger"))
    assert site.reaches(broker, "127.0.0.1", CLUSTER_PORT)  # it is there to be reached
    for address in (broker.address, broker.address6):
        assert site.reaches(node, address, 5671)
        assert not site.reaches(node, address, CLUSTER_PORT)
        assert not site.reaches(stranger, address, 5671)
        assert site.reaches(stranger, address, 22)  # what is not the fleet's is left alone
