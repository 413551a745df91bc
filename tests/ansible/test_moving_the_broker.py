"""A broker moves to another machine the way docs/operating.md says, and the fleet goes with it."""

import pytest

from tests.system.site import Site

NAME = "broker"  # what clients call it, before and afterwards: their settings stay what they are


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    empty.add("former", "brokers", fleet_name=NAME)
    empty.add("node1", "nodes")
    empty.add("producer1", "producers")
    empty.add("next", fleet_name=NAME)
    empty.boot()
    empty.provision()
    return empty


def test_a_broker_moves_and_its_old_machine_is_left_as_it_was(site: Site) -> None:
    former, producer = site.hosts["former"], site.hosts["producer1"]
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
    queues = former.run("rabbitmqctl", "--quiet", "-p", "celery", "list_queues", "messages", "--no-table-headers")
    assert {int(line) for line in queues.splitlines()} == {0}
    former.run("systemctl", "disable", "--now", "rabbitmq-server")
    site.move("former")
    site.move("next", "brokers")
    site.provision()
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
    assert site.reaches(producer, site.hosts["next"].address, 5671)
    assert site.provision().changes == []

    site.move("next")
    site.move("former", "brokers")  # the inventory that still has it
    site.provision("remove", "--limit", "former", "--extra-vars", "fleet_remove_brokers=yes")
    assert former.attempt("sh", "-c", "ls -d /etc/rabbitmq /var/lib/rabbitmq 2>/dev/null").stdout == ""
    assert "celery_agent" not in former.run("nft", "list", "tables")

    site.move("former")
    site.move("next", "brokers")
    site.provision("verify")
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
