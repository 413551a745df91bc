"""Containers reach the fleet's broker from the networks that are named and from no others; what they publish is the fleet's.

The containers' image is the host's own files: a Debian with Python, the release and RabbitMQ, made by `docker import`.
"""

import json

import pytest

from tests.node import ROOT
from tests.system.host import Host
from tests.system.images import image
from tests.system.site import PRODUCE, Site

PROBE = (ROOT / "deploy/ansible/roles/broker_connectivity/files/probe.py").read_text()
NETWORKS = [
    {"name": "bridge", "interface": "docker0"},
    {"name": "celery", "interface": "br-celery", "subnet": "172.30.0.0/24"},
]
IMPORT = """
tar -C / -c bin etc lib lib64 opt sbin usr | docker import - self >/dev/null
docker network create stranger >/dev/null
"""
INNER_BROKER = """
printf 'loopback_users = none\\nlisteners.tcp.default = 5672\\n' >/etc/rabbitmq/rabbitmq.conf
rm -f /etc/rabbitmq/rabbitmq-env.conf
mkdir -p /var/lib/rabbitmq /var/log/rabbitmq /tmp
chmod 1777 /tmp
export HOME=/var/lib/rabbitmq
exec /usr/lib/rabbitmq/bin/rabbitmq-server
"""
GATEWAY = ("--add-host", "host.docker.internal:host-gateway")


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    published = [{"name": "inner", "ports": ["5673"]}]
    # A broker and containers on one host; containers alone on another.
    empty.add(
        "docker1", "brokers", "producers", "docker_hosts", layers=image("docker"),
        docker_host_networks=NETWORKS, docker_host_published=published,
    )  # fmt: skip
    empty.add("docker2", "producers", "docker_hosts", layers=image("docker"), docker_host_networks=NETWORKS)
    empty.add("node1", "nodes")
    empty.add("stranger")
    empty.boot()
    empty.provision()
    for name in ("docker1", "docker2"):
        empty.hosts[name].run("sh", "-euc", IMPORT, timeout=300.0)
    return empty


def produce(host: Host, network: str, broker: str, *options: str) -> str:
    """Send a task from a container the way docs/operating.md says; return the result."""
    mounts = [f"--volume={path}:{path}:ro" for path in ("/etc/celery-tasks", "/etc/ssl/celery-broker.pem")]
    environment = ["--env-file=/etc/celery-tasks/broker.env", f"--env=RABBITMQ_HOST={broker}"]
    run = ["docker", "run", "--rm", "--init", f"--network={network}", *options, *mounts, *environment, "self"]
    return host.run(*run, "/opt/celery-agent/current/bin/python", "-c", PRODUCE, "MagicCeleryTask", "(1, 2, 3)").strip()


def reaches(host: Host, network: str, address: str, port: int = 5671) -> bool:
    """Say whether a container's connection is accepted."""
    run = ("docker", "run", "--rm", "--init", f"--network={network}", *GATEWAY, "self")
    return host.attempt(*run, "nc", "-z", "-w", "3", address, str(port)).returncode == 0


@pytest.mark.parametrize("network", ["bridge", "celery"])
def test_a_producer_in_a_container_reaches_the_broker_on_its_host(site: Site, network: str) -> None:
    assert produce(site.hosts["docker1"], network, "host.docker.internal", *GATEWAY) == "6"


@pytest.mark.parametrize("network", ["bridge", "celery"])
def test_a_producer_in_a_container_reaches_a_broker_beyond_its_host(site: Site, network: str) -> None:
    known = f"--add-host=docker1:{site.hosts['docker1'].address}"
    assert produce(site.hosts["docker2"], network, "docker1", known) == "6"


def test_containers_on_other_networks_reach_no_broker(site: Site) -> None:
    broker = site.hosts["docker1"]
    assert not reaches(broker, "stranger", "host.docker.internal")
    assert not reaches(broker, "stranger", broker.address)
    assert not reaches(site.hosts["docker2"], "stranger", broker.address)
    assert reaches(site.hosts["docker2"], "stranger", broker.address, 22)  # the rest of what they do is left alone


def test_a_broker_that_a_container_publishes_is_reached_by_the_fleet_only(site: Site) -> None:
    host, node, stranger = (site.hosts[name] for name in ("docker1", "node1", "stranger"))
    host.run(
        "docker", "run", "--detach", "--init", "--name=inner", "--publish=5673:5672", "self", "sh", "-euc", INNER_BROKER
    )
    guest = {"host": host.address, "address": None, "port": 5673, "ca": None, "user": "guest", "password": "guest"}
    wanted = json.dumps({**guest, "vhost": "/", "read": [], "timeout": 5})

    def probe(source: Host) -> dict[str, str]:
        found: dict[str, str] = json.loads(source.attempt("python3", "-c", PROBE, text=wanted).stdout)
        return found

    site.wait_for(lambda: probe(node)["failed"] is None, "the container's broker lets a node log in")
    assert probe(stranger)["failed"] == "tcp"


def test_what_other_containers_publish_is_left_alone(site: Site) -> None:
    host = site.hosts["docker1"]
    server = ("python3", "-m", "http.server", "80")
    host.run("docker", "run", "--detach", "--init", "--name=web", "--publish=8080:80", "self", *server)
    site.wait_for(lambda: site.reaches(site.hosts["stranger"], host.address, 8080), "a stranger reaches the web server")


def test_a_second_run_changes_nothing_and_all_is_as_declared(site: Site) -> None:
    assert site.provision().changes == []
    site.provision("verify")


def test_all_of_it_is_back_after_a_reboot_and_after_docker_was_restarted(site: Site) -> None:
    host = site.hosts["docker1"]
    host.reboot()
    host.run("docker", "start", "inner")
    host.run("systemctl", "restart", "docker")
    assert produce(host, "celery", "host.docker.internal", *GATEWAY) == "6"
    assert not reaches(host, "stranger", "host.docker.internal")
    assert not site.reaches(site.hosts["stranger"], host.address, 5673)
