"""Nodes tell Prometheus what they do, by a file or by a listener or not at all; and a Prometheus has the rules."""

import json
from collections.abc import Iterator

import pytest

from tests.system.lab import Lab
from tests.system.site import PACKAGES, Site
from tests.waiting import wait_until

PATH = "{{ code_paths.consumer }}:{{ code_paths.consumer }}/src"
MAGIC = {"CELERY_AGENT_TASKS": "magic_consumer.tasks:ActualMagicCeleryTask", "CELERY_AGENT_PATH": PATH}
FILE = "/var/lib/prometheus/node-exporter/celery-agent.prom"
INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get -qq update && apt-get -qq -y --no-install-recommends install"
RULES = (
    "python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:9090/api/v1/rules').read().decode())\""
)


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(lab, tmp_path_factory.mktemp("site"), (*PACKAGES, "prometheus", "prometheus-node-exporter"))
    site.add("broker1", "brokers")
    site.add("node1", "nodes", agent_instances={"magic": MAGIC})
    site.add("monitor1", "monitors")
    site.boot()
    site.provision()
    yield site
    site.close()


def units(site: Site) -> str:
    """Return which units tell Prometheus."""
    return site.hosts["node1"].run("sh", "-c", "cd /etc/systemd/system; ls | grep -E '(metrics|textfile)' || true")


def test_a_node_tells_as_its_variable_says_and_nothing_without_it(site: Site) -> None:
    node = site.hosts["node1"]
    assert units(site) == ""
    site.set(agent_metrics="textfile")
    assert "install Debian's prometheus-node-exporter" in site.play("agent").output
    node.run("sh", "-euc", f"{INSTALL} prometheus-node-exporter")
    site.provision("agent")
    wait_until(lambda: 'celery_agent_up{agent="magic"} 1' in node.attempt("cat", FILE).stdout, 60, "the file is there")
    assert site.provision("agent").changes == []
    site.provision("verify")
    site.set(agent_metrics="listen")
    site.provision("agent")
    assert units(site) == "celery-agent-metrics.service\n"
    assert node.run("systemctl", "is-active", "celery-agent-metrics") == "active\n"
    node.run("systemctl", "stop", "celery-agent-metrics")
    assert site.play("verify").status != 0
    site.set(agent_metrics="")
    site.provision("agent")
    assert units(site) == ""
    assert node.attempt("systemctl", "is-active", "celery-agent-metrics").stdout == "inactive\n"


def test_a_prometheus_has_the_rules(site: Site) -> None:
    monitor = site.hosts["monitor1"]
    monitor.run("sh", "-euc", f"{INSTALL} prometheus")
    monitor.run("sed", "-i", "s|^rule_files:|rule_files: [celery-agent.rules.yml]|", "/etc/prometheus/prometheus.yml")
    site.provision("monitor")
    monitor.run("promtool", "check", "config", "/etc/prometheus/prometheus.yml")

    def names() -> set[str]:
        groups = json.loads(monitor.attempt("sh", "-c", RULES).stdout or '{"data": {"groups": []}}')["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"]}

    wait_until(lambda: {"CeleryAgentDown", "CeleryDeadLetters"} <= names(), 60, "it has read them")
    assert site.provision("monitor").changes == []
