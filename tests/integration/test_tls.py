"""TLS to real brokers: the host's name is checked, whatever host it is, and what is refused is said in one line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery
import pytest

from agent.cli.main import main
from agent.errors import FAILURE, OK
from celery_delivery.broker import tls, transport
from celery_delivery.broker.transport import SCHEME
from tests.certificates import EXPIRED, Authority
from tests.cluster import Cluster
from tests.integration.bad_input import GOOD, TASKS
from tests.node import Node
from tests.producers import start
from tests.rabbitmq import RabbitMQ
from tests.truth import assert_true
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
ADDRESS, NAME = "IP:127.0.0.1", "DNS:localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="module")
def broker_by_address(authority: Authority) -> Iterator[RabbitMQ]:
    """A broker whose certificate is for 127.0.0.1 and nothing else."""
    yield from started(RabbitMQ(identity=authority.identity(ADDRESS)))


@pytest.fixture(scope="module")
def broker_by_name(authority: Authority) -> Iterator[RabbitMQ]:
    """A broker whose certificate is for localhost and nothing else, and which wants to see one of the client's."""
    yield from started(
        RabbitMQ(
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true",
            identity=authority.identity(NAME),
        )
    )


def started(node: RabbitMQ) -> Iterator[RabbitMQ]:
    try:
        node.start()
        yield node
    finally:
        node.close()


Broker = Callable[..., str]


@pytest.fixture
def finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Broker:
    """Return a function that has `agent check` reach for a broker, and returns what it says of it."""
    monkeypatch.setenv("CELERY_AGENT_CONFIG_DIR", str(tmp_path))
    (tmp_path / "consumer.py").write_text(GOOD)

    def check(**variables: str) -> str:
        lines = [TASKS, f"CELERY_AGENT_PATH={tmp_path}", *(f"{name}={text}" for name, text in variables.items())]
        (tmp_path / "magic.env").write_text("\n".join(lines) + "\n")
        status = main(["check", "magic", "--json"])
        (instance,) = json.loads(capsys.readouterr().out)["instances"]
        (found,) = [each for each in instance["findings"] if each["subject"] == "broker"]
        assert status == (OK if found["level"] == "ok" else FAILURE)
        assert "\n" not in found["text"]
        return str(found["text"])

    return check


def producing(code: str, **variables: str) -> subprocess.Popen[str]:
    """Start code that has `worker`, the task of a producer."""
    script = (
        "from celery_tasks.tasks import MagicCeleryTask\nfrom celery_tasks.utils import create_worker_from\n"
        f"app, worker = create_worker_from(MagicCeleryTask)\n{code}\n"
    )
    return start(script, {**os.environ, "PYTHONPATH": str(ROOT), **variables})


def test_a_certificate_for_the_host_is_taken(finding: Broker, broker_by_address: RabbitMQ) -> None:
    assert finding(**broker_by_address.tls_variables()).endswith(" accepts connections")


def test_localhost_is_a_name_like_any_other(finding: Broker, broker_by_name: RabbitMQ, authority: Authority) -> None:
    variables = broker_by_name.tls_variables() | own_certificate(authority)
    variables["RABBITMQ_HOST"] = f"localhost:{broker_by_name.tls_port}"
    assert finding(**variables).endswith(" accepts connections")


@pytest.fixture(scope="module")
def refusals(
    authority: Authority, broker_by_address: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    """What is wrong in each way, as variables."""
    other = Authority(tmp_path_factory.mktemp("certificates") / "theirs")
    good = broker_by_address.tls_variables()
    return {
        "signed by no authority of RABBITMQ_CA_FILE": good | {"RABBITMQ_CA_FILE": str(other.certificate)},
        "is for another host": good | {"RABBITMQ_HOST": f"localhost:{broker_by_address.tls_port}"},
        "does not speak TLS": good | {"RABBITMQ_HOST": f"127.0.0.1:{broker_by_address.port}"},
        "speaks TLS: set RABBITMQ_TLS=1": good | {"RABBITMQ_TLS": "0"},
    }


WAYS = (
    "signed by no authority of RABBITMQ_CA_FILE",
    "is for another host",
    "does not speak TLS",
    "speaks TLS: set RABBITMQ_TLS=1",
)


@pytest.mark.parametrize("said", WAYS)
def test_what_is_refused_is_one_line_of_a_check(
    finding: Broker, refusals: dict[str, dict[str, str]], said: str
) -> None:
    assert said in finding(**refusals[said])


@pytest.mark.parametrize("said", WAYS)
def test_what_is_refused_is_what_a_producer_s_error_says(refusals: dict[str, dict[str, str]], said: str) -> None:
    with producing("worker.delay(1, 2, 3)", **refusals[said]) as process:
        _, errors = process.communicate(timeout=120)
    assert said in errors.splitlines()[-1]


def test_a_certificate_whose_time_is_over_is_refused(finding: Broker, authority: Authority) -> None:
    for node in started(RabbitMQ(identity=authority.identity(ADDRESS, days=EXPIRED))):
        assert "is not valid now (certificate has expired): renew it" in finding(**node.tls_variables())


def test_a_broker_that_wants_a_certificate_is_understood(finding: Broker, broker_by_name: RabbitMQ) -> None:
    said = finding(**broker_by_name.tls_variables() | {"RABBITMQ_HOST": f"localhost:{broker_by_name.tls_port}"})
    assert "to see a certificate" in said
    assert "set RABBITMQ_CERT_FILE and RABBITMQ_KEY_FILE" in said


def test_each_host_of_a_list_is_checked_against_its_own_name(
    broker_by_address: RabbitMQ, broker_by_name: RabbitMQ, authority: Authority
) -> None:
    """Each broker in turn is the only one that is up; each has a certificate that is wrong for the other."""
    by_address, by_name = f"127.0.0.1:{broker_by_address.tls_port}", f"localhost:{broker_by_name.tls_port}"
    connection = connection_to(by_address, by_name, **own_certificate(authority))

    def connected() -> str:
        connection.ensure_connection(max_retries=4, interval_start=0.1, interval_step=0.1)
        return f"{connection.hostname}:{connection.port}"

    assert connected() == by_address
    broker_by_address.kill()
    connection.collect()
    assert connected() == by_name
    broker_by_address.start()
    broker_by_name.kill()
    connection.collect()
    assert connected() == by_address
    connection.collect()
    broker_by_name.start()


def test_a_host_with_a_certificate_for_another_is_passed_over(
    broker_by_address: RabbitMQ, authority: Authority
) -> None:
    port = broker_by_address.tls_port
    connection = connection_to(f"localhost:{port}", f"127.0.0.1:{port}", RABBITMQ_CA_FILE=str(authority.certificate))
    connection.ensure_connection(max_retries=2, interval_start=0.1)
    assert connection.hostname == "127.0.0.1"
    connection.collect()


def test_a_producer_goes_on_to_the_next_host_when_its_own_dies(
    broker_by_address: RabbitMQ, broker_by_name: RabbitMQ, authority: Authority
) -> None:
    hosts = f"127.0.0.1:{broker_by_address.tls_port},localhost:{broker_by_name.tls_port}"
    variables = broker_by_name.tls_variables() | own_certificate(authority) | {"RABBITMQ_HOST": hosts}
    code = "import sys\nfor line in sys.stdin:\n    worker.delay(1, 2, 3)\n    print('accepted', flush=True)"
    with producing(code, **variables) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for broker in (broker_by_address, broker_by_name):
            process.stdin.write("send\n")
            process.stdin.flush()
            assert process.stdout.readline() == "accepted\n"
            assert broker.messages("unique_magic_task") == 1
            broker.settle()
            if broker is broker_by_address:
                broker.kill()
        process.kill()
    broker_by_address.start()


def test_a_cluster_is_restarted_node_by_node_under_a_node_and_its_producers(
    authority: Authority, tmp_path: Path
) -> None:
    """Over TLS, by a list of hosts of which no two neighbours' certificates are for the same name."""
    names = ("127.0.0.1", "localhost", "127.0.0.1")
    cluster = Cluster(identities=[authority.identity(NAME if name == "localhost" else ADDRESS) for name in names])
    node = None
    try:
        cluster.start()
        cluster.first.add_vhost("rolling")
        node = Node(tmp_path, cluster.first, "rolling")
        hosts = (f"{name}:{each.tls_port}" for name, each in zip(names, cluster.nodes, strict=True))
        node.variables = {**cluster.first.tls_variables("rolling"), "RABBITMQ_HOST": ",".join(hosts)}
        node.configure("alpha")
        node.start()
        node.wait_until_consuming()
        for number, each in enumerate(cluster.nodes):
            wait_until(lambda broker=each: is_dispensable(broker), 120, "the queues can do without it")  # type: ignore[misc]
            each.stop()
            assert node.send("alpha", "return", number) == number
            each.start()
        assert_true(node)
    finally:
        if node is not None:
            node.close()
        cluster.close()


def is_dispensable(broker: RabbitMQ) -> bool:
    """Say whether every quorum queue has a majority without a node."""
    try:
        broker.tool("rabbitmq-diagnostics", "check_if_node_is_quorum_critical")
    except RuntimeError:
        return False
    return True


def connection_to(*hosts: str, **files: str) -> Any:
    """Return a connection of the kind that a producer's pool has."""
    transport.register()
    app = celery.Celery(broker=";".join(f"{SCHEME}://{host}//" for host in hosts))
    app.conf.broker_use_ssl = tls.options(files)
    return app.pool.acquire()


def own_certificate(authority: Authority) -> dict[str, str]:
    identity = authority.identity("DNS:client")
    files = {"CA": identity.authority, "CERT": identity.certificate, "KEY": identity.key}
    return {f"RABBITMQ_{name}_FILE": str(path) for name, path in files.items()}
