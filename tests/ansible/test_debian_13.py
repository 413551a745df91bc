"""A broker on Debian 13, whose RabbitMQ is 4.0."""

import pytest

from tests.ansible.refusal import refused
from tests.rabbitmq_4 import SUITE
from tests.system.images import image
from tests.system.site import Site

FLAGS = "/var/lib/rabbitmq/mnesia/rabbit@broker1-feature_flags"
# As RabbitMQ 3.10 leaves the file.
OF_3_10 = """\
[classic_mirrored_queue_version,implicit_default_bindings,
 maintenance_mode_status,quorum_queue,stream_queue,user_limits,
 virtual_host_metadata].
"""
INSTANCES = {
    "magic": {
        "CELERY_AGENT_TASKS": "magic_consumer.tasks:ActualMagicCeleryTask",
        "CELERY_AGENT_PATH": "{{ code_paths.consumer }}:{{ code_paths.consumer }}/src",
    }
}


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    empty.add("broker1", "brokers", layers=image("broker", suite=SUITE))
    empty.add("worker1", "nodes", agent_instances=INSTANCES)
    empty.add("producer1", "producers")
    empty.boot()
    empty.provision()
    return empty


def test_tasks_flow_and_a_second_run_changes_nothing(site: Site) -> None:
    assert "4.0" in site.hosts["broker1"].run("rabbitmqctl", "version")
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
    assert site.provision().changes == []
    site.provision("verify")


@pytest.mark.parametrize("playbook", ["site", "broker"])
def test_the_data_of_an_older_rabbitmq(site: Site, playbook: str) -> None:
    broker = site.hosts["broker1"]
    kept = broker.run("cat", FLAGS)
    broker.write(FLAGS, OF_3_10)
    try:
        refused(site, playbook, words="broker1 has RabbitMQ 4.0.*by way of 3.11, 3.12 and 3.13")
    finally:
        broker.write(FLAGS, kept)
