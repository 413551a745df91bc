"""Where ufw or firewalld rule, ports are opened there too, and closed again."""

from collections.abc import Iterator

import pytest

from tests.system.images import image
from tests.system.lab import Lab
from tests.system.site import PACKAGES, Site

ENABLE = {
    "ufw": "ufw --force reset && ufw allow 22/tcp && ufw --force enable",
    "firewalld": "systemctl enable --now firewalld && firewall-cmd --permanent --add-service=ssh && firewall-cmd --reload",
}
RULES = {"ufw": "ufw show added", "firewalld": "firewall-cmd --list-rich-rules"}


@pytest.fixture(scope="module", params=["ufw", "firewalld"])
def manager(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def site(manager: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        site = Site(lab, tmp_path_factory.mktemp("site"), PACKAGES)
        broker = site.add("broker1", "brokers", layers=image(manager))
        site.add("node1", "nodes")
        site.add("producer1", "producers")
        site.add("stranger")
        site.boot()
        broker.run("sh", "-euc", ENABLE[manager])
        site.provision()
        yield site
        site.close()


def test_tasks_flow_and_a_second_run_changes_nothing(site: Site) -> None:
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
    assert site.provision().changes == []


def test_only_the_fleet_reaches_the_broker_over_either_protocol(site: Site) -> None:
    broker = site.hosts["broker1"]
    for address in (broker.address, broker.address6):
        assert site.reaches(site.hosts["node1"], address, 5671)
        assert not site.reaches(site.hosts["stranger"], address, 5671)
        assert not site.reaches(site.hosts["node1"], address, 25672)
        assert not site.reaches(site.hosts["node1"], address, 8081)  # the manager's own refusal still holds


def test_the_manager_goes_on_and_keeps_its_rules_over_a_reboot(site: Site, manager: str) -> None:
    broker = site.hosts["broker1"]
    before = broker.run("sh", "-c", RULES[manager])
    broker.reboot()
    after = broker.run("sh", "-c", RULES[manager])
    assert sorted(after.splitlines()) == sorted(before.splitlines())  # firewalld's are a set
    assert site.reaches(site.hosts["node1"], broker.address, 5671)
    assert not site.reaches(site.hosts["stranger"], broker.address, 5671)


def test_what_leaves_the_inventory_is_closed_in_the_manager_too(site: Site, manager: str) -> None:
    broker, node = site.hosts["broker1"], site.hosts["node1"]
    assert node.address in broker.run("sh", "-c", RULES[manager])
    site.move("node1")
    site.provision("broker")
    assert node.address not in broker.run("sh", "-c", RULES[manager])
    assert not site.reaches(node, broker.address, 5671)
