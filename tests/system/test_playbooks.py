"""One playbook makes a fleet of bare hosts: tasks flow, a second run changes nothing, and strangers are kept out.

The short form; the rest of deploy/ansible is played by tests/ansible (`make test-ansible`).
"""

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator

import pytest

from tests.node import ROOT
from tests.system.lab import Lab
from tests.system.site import SECRETS, Site
from tests.waiting import wait_until

CLUSTER_PORT = 25672  # where a broker listens for others, of which there are none here
METRICS_PORT = 9808
SCRAPE = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{METRICS_PORT}/metrics').read().decode())"
RELEASE = "/opt/celery-agent/current"
PATH = "{{ code_paths.consumer }}:{{ code_paths.consumer }}/src"
TOKEN = "swordfish-47"  # of user code
MAGIC = {
    "CELERY_AGENT_TASKS": "magic_consumer.tasks:ActualMagicCeleryTask",
    "CELERY_AGENT_PATH": PATH,
    "PAYMENT_TOKEN": TOKEN,
}
WORDS = {"CELERY_AGENT_TASKS": "magic_consumer.tasks:CountWords", "CELERY_AGENT_PATH": PATH}

# An environment of somebody's own, with Celery and nothing of ours.
OWN = f"""
python3 -m venv --without-pip /srv/own
cp -r {RELEASE}/lib/python3*/site-packages/* /srv/own/lib/python3*/site-packages/
rm -r /srv/own/lib/python3*/site-packages/celery_agent* /srv/own/lib/python3*/site-packages/celery_delivery* \\
    /srv/own/lib/python3*/site-packages/agent
! /srv/own/bin/python -c 'import celery_delivery' 2>/dev/null
"""


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(lab, tmp_path_factory.mktemp("site"), verbosity=3)
    site.add("broker1", "brokers")
    site.add("node1", "nodes", "desks")
    _write_instances(site, magic=MAGIC, words=WORDS)
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


def test_prometheus_is_told_on_the_node_and_nowhere_else(site: Site) -> None:
    node = site.hosts["node1"]
    said = node.run(f"{RELEASE}/bin/python", "-c", SCRAPE)
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
    assert site.send("MagicCeleryTask", 1, 2, 3, python=f"PYTHONPATH={RELEASE}/library /srv/own/bin/python") == "6"


@pytest.fixture(scope="module")
def tree_before(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Play new code, of which nothing older is kept; return the former tree, which `magic` still has in its settings.

    `words` goes to the new code, and to an interpreter of its own.
    """
    node = site.hosts["node1"]
    node.run("sh", "-euc", OWN)
    before = node.run("readlink", "/opt/celery-agent/code/consumer/current").strip()
    code = shutil.copytree(ROOT / "examples/consumer", tmp_path_factory.mktemp("code") / "consumer")
    (code / "magic_consumer/edition.py").write_text("EDITION = 2\n")
    site.set(code_trees={"consumer": {"celery_tasks": str(ROOT / "celery_tasks"), "src": str(code)}}, code_kept=0)
    own = {"CELERY_AGENT_PYTHON": "/srv/own/bin/python", "CELERY_AGENT_PATH": "{{ fleet_library }}:" + PATH}
    _write_instances(site, magic=MAGIC | {"CELERY_AGENT_PATH": f"{before}:{before}/src"}, words=WORDS | own)
    site.provision("agent")
    return before


def test_a_consumer_with_an_environment_of_its_own_has_the_library_from_the_release(
    site: Site, tree_before: str
) -> None:
    assert "PYTHON=/srv/own/bin/python" in site.hosts["node1"].run("cat", "/etc/celery-agent/words.env")
    assert site.send("CountWordsTask", "a b a") == "{'a': 2, 'b': 1}"


def test_code_that_an_instance_went_back_to_is_not_removed_with_the_old(site: Site, tree_before: str) -> None:
    node = site.hosts["node1"]
    assert node.run("readlink", "/opt/celery-agent/code/consumer/current").strip() != tree_before
    (worker,) = site.status("node1", "magic")["queues"]
    node.run("kill", "-KILL", str(worker["pid"]))  # the next one imports it anew
    wait_until(lambda: site.status("node1", "magic")["queues"][0]["pid"] not in {worker["pid"], None}, 60, "a worker")
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"


FAILING = {
    "an instance's settings": ("agent", {"agent_instances": {"magic": MAGIC | {"CELERY_AGENT_DEFAULTS__POOL": "no"}}}),
    "an instance's settings on its node": (
        "agent",
        {"agent_instances": {"magic": MAGIC | {"CELERY_AGENT_PYTHON": "/nowhere/bin/python"}}},
    ),
    "an import": ("agent", {"agent_instances": {"magic": MAGIC | {"CELERY_AGENT_TASKS": "os:environ"}}}),
    "a proof of the firewall": (
        "network",
        {
            "fleet_has_rules": True,
            "firewall_proofs": [{"name": "p", "host": "nowhere", "argv": ["cat"], "stdin": TOKEN}],
        },
    ),
    "a signature": (
        "broker",
        {"authority_renewal_days": 9999, "authority_certificate_days": 1, "authority_passphrase": f"wrong {TOKEN}"},
    ),
    "the way to the broker": ("agent", {"fleet_port": 1}),
}


def test_no_secret_is_printed_by_what_succeeds_or_fails_with_three_v_and_diff(site: Site) -> None:
    site.provision("verify")
    for what, (playbook, variables) in FAILING.items():
        assert site.play(playbook, "--extra-vars", json.dumps(variables)).status != 0, what
    users = ("magic.node1", "words.node1", "desk.node1", "producer.producer1")
    passwords = [hashlib.sha256(f"{SECRETS['vault_fleet_secret']}/{user}".encode()).hexdigest() for user in users]
    secrets = {"TOKEN": TOKEN, "a key": "PRIVATE KEY", **SECRETS, **dict(zip(users, passwords, strict=True))}
    printed = "".join(played.output for played in site.played)
    assert "EXEC" in printed  # it is -vvv
    assert "--- before" in printed  # and --diff
    assert {name for name, secret in secrets.items() if any(each in printed for each in _spelt(secret))} == set()


def _spelt(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and in base64, wherever it begins in a longer text."""
    yield secret
    for before in range(3):
        coded = base64.b64encode(b"x" * before + secret.encode()).decode()
        yield coded[4 if before else 0 : -4]


def _write_instances(site: Site, **instances: dict[str, str]) -> None:
    path = site.inventory / "host_vars/node1.yml"
    path.write_text(json.dumps({"agent_instances": instances, "agent_metrics": "listen"}, indent=1))
