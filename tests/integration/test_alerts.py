"""What the alerts are for, provoked on a real instance: a real Prometheus fires those, for these queues, and no other."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.integration.dead_letters import bury, publish, task
from tests.integration.scraping import Prometheus, scraped
from tests.integration.test_metrics import RULES
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

FASTER = 90  # times, than the rules have it; 15 minutes are 10 s, in which the watcher looks twice
DEAF = """
from celery.signals import worker_ready

@worker_ready.connect
def be_ready_to_be_deaf(sender, **_):
    def look():
        if os.path.exists(__file__ + ".deaf") and "alpha" in sender.hostname:
            sender.task_consumer.cancel()
    sender.timer.call_repeatedly(0.2, look)
"""
# "" where an alert is of an instance, and "broker" where it is about the broker's own certificate.
EXPECTED = {
    ("CeleryQueueUnhealthy", "alpha"),
    ("CeleryQueueWithoutConsumer", "alpha"),
    ("CeleryWorkerCrashLoop", "beta"),
    ("CeleryQueueFallingBehind", "gamma"),
    ("CeleryQueueUnhealthy", "delta"),
    ("CeleryQueueWithoutConsumer", "delta"),
    ("CeleryDeadLetters", "epsilon"),
    ("CeleryCertificateExpires", "broker"),
}
MAY = {("CeleryQueueWithoutConsumer", "beta"), ("CeleryDeadLetters", "beta")}  # what its crashes come to


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[RabbitMQ]:
    """A broker whose certificate is good for a day, and that wants to see one."""
    authority = Authority(tmp_path / "authority")
    broker = RabbitMQ(
        "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true",
        identity=authority.identity("IP:127.0.0.1"),
    )
    own = authority.identity("DNS:a-node", days="30")
    try:
        broker.start()
        (tmp_path / "own.pem").write_text(own.certificate.read_text() + own.key.read_text())
        yield broker
    finally:
        broker.close()


def firing(prometheus: Prometheus) -> set[tuple[str, str]]:
    found = [labels for labels, _ in prometheus.found('ALERTS{alertstate="firing"}')]
    return {(each["alertname"], each.get("queue_name") or each.get("whose", "")) for each in found}


def hurried(rules: str) -> str:
    """Return rules with all of their times shorter."""
    return re.sub(
        r"\b(\d+)([ms])\b", lambda each: f"{int(each[1]) * {'m': 60_000, 's': 1_000}[each[2]] // FASTER}ms", rules
    )


def test_what_an_alert_is_for_has_it_fire(tls_broker: RabbitMQ, tmp_path: Path) -> None:
    node = Node(tmp_path, tls_broker, "/")
    own = str(tmp_path / "own.pem")
    node.variables = {**tls_broker.tls_variables(), "RABBITMQ_CERT_FILE": own, "RABBITMQ_KEY_FILE": own}
    pools = {"alpha": "threads", "beta": "solo", "gamma": "solo", "delta": "threads", "epsilon": "solo"}
    node.configure_pools(pools, DEFAULTS__PREFETCH="1")
    code = node.code / "greek.py"
    code.write_text(code.read_text() + DEAF)
    (tmp_path / "rules.yml").write_text(hurried(RULES.read_text()))
    bury(node, "epsilon", [task("epsilon")])
    node.start()
    try:
        node.wait_until_consuming()
        with scraped(node, tmp_path, tmp_path / "rules.yml") as prometheus:
            wait_until(
                lambda: prometheus.by_queue("celery_agent_queue_dead_letters").get("epsilon") == "1", 60, "counted"
            )
            assert firing(prometheus) <= {("CeleryDeadLetters", "epsilon"), ("CeleryCertificateExpires", "broker")}
            code.with_name("greek.py.deaf").touch()
            os.kill(node.pids()["delta"], signal.SIGSTOP)
            publish(node, "beta", *(task("beta", "abort") for _ in range(10)))

            def all_fire() -> bool:
                publish(node, "gamma", *(task("gamma", "wait for a file", str(node.code / "none")) for _ in range(3)))
                time.sleep(0.5)
                return firing(prometheus) >= EXPECTED

            wait_until(all_fire, 90, f"all fire, see {node.log}")
            assert firing(prometheus) - MAY == EXPECTED
            certificates = prometheus.found("celery_agent_certificate_expires_timestamp_seconds - time()")
            left = {labels["whose"]: float(value) / 86_400 for labels, value in certificates}
            assert (round(left["broker"]), round(left["own"])) == (1, 30)
            tls_broker.stop()
            wait_until(lambda: ("CeleryBrokerDown", "") in firing(prometheus), 90, "the broker is said to be down")
    finally:
        node.close()
