"""What the rules let through while they are replaced, after a reboot, and when somebody else touches the firewall."""

import json

import pytest

from tests.system.site import Site

TABLE = ("nft", "--stateless", "list", "table", "inet", "celery_agent")

# Tries to connect without a pause until it is told to stop; prints how many attempts there were, and how many succeeded.
ATTEMPTS = """
import json, pathlib, socket, sys, threading
counts, stop = {"attempts": 0, "open": 0}, pathlib.Path("/run/stop")
def attempt():
    while not stop.exists():
        with socket.socket() as each:
            each.settimeout(0.05)
            counts["attempts"] += 1
            counts["open"] += each.connect_ex((sys.argv[1], 5671)) == 0
threads = [threading.Thread(target=attempt) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print(json.dumps(counts))
"""

# Opens a connection, waits for a file, and only then says something.
ESTABLISHED = """
import pathlib, socket, ssl, sys, time
plain = socket.create_connection((sys.argv[1], 5671), 5)
pathlib.Path("/run/connected").touch()
while not pathlib.Path("/run/stop").exists(): time.sleep(0.02)
context = ssl.create_default_context(cafile="/etc/ssl/celery-broker.pem")
print(context.wrap_socket(plain, server_hostname="broker1").version())
"""


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    empty.add("broker1", "brokers")
    empty.add("node1", "nodes")
    empty.add("producer1", "producers")
    empty.add("stranger")
    empty.boot()
    empty.provision()
    return empty


def test_no_reload_of_the_rules_lets_a_stranger_in(site: Site) -> None:
    broker, stranger = site.hosts["broker1"], site.hosts["stranger"]
    site.start(stranger, "attempts", ATTEMPTS, broker.address)
    broker.run("sh", "-euc", "for each in $(seq 200); do nft --file /etc/celery-agent-firewall/rules.nft; done")
    counts = json.loads(site.finish(stranger, "attempts"))
    assert counts["attempts"] > 200
    assert counts["open"] == 0


def test_an_established_session_survives_a_reload(site: Site) -> None:
    broker, node = site.hosts["broker1"], site.hosts["node1"]
    site.start(node, "established", ESTABLISHED, broker.address)
    site.wait_for_file(node, "/run/connected")
    worker = site.status("node1", "magic")["queues"][0]["pid"]
    broker.run("systemctl", "reload", "celery-agent-firewall")
    assert site.finish(node, "established").startswith("TLSv1")
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
    assert site.status("node1", "magic")["queues"][0]["pid"] == worker


def test_rules_and_services_are_back_after_a_reboot(site: Site) -> None:
    broker = site.hosts["broker1"]
    before = broker.run(*TABLE)
    assert broker.reboot() == "running"
    assert site.hosts["node1"].reboot() == "running"
    assert broker.run(*TABLE) == before
    assert not site.reaches(site.hosts["stranger"], broker.address, 5671)
    site.hosts["node1"].run("/opt/celery-agent/current/bin/agent", "status", "magic", "--strict", "--wait", "60")
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
    site.provision("verify")


@pytest.mark.parametrize("verb", ["start", "reload", "restart"])
def test_debians_own_rules_which_flush_all_others_do_not_open_the_broker(site: Site, verb: str) -> None:
    broker = site.hosts["broker1"]
    before = broker.run(*TABLE)
    broker.run("systemctl", verb, "nftables")
    assert broker.run(*TABLE) == before
    assert not site.reaches(site.hosts["stranger"], broker.address, 5671)


def test_rules_that_would_cut_a_node_off_are_taken_back_by_themselves(site: Site) -> None:
    broker, node = site.hosts["broker1"], site.hosts["node1"]
    before = broker.run(*TABLE)
    lines = {"firewall_lines": [f"ip saddr {node.address} tcp dport 5671 drop"], "firewall_rollback": 30}
    played = site.play("broker", "--extra-vars", json.dumps(lines))
    assert played.status != 0
    assert "by those who are to be let in" in played.words
    assert broker.run(*TABLE) == before
    assert site.reaches(node, broker.address, 5671)


def test_a_rule_for_ssh_is_refused_before_anything_is_changed(site: Site) -> None:
    rules = {"fleet_own_rules": [{"name": "all", "ports": ["1-1024"], "from": []}]}
    played = site.play("broker", "--extra-vars", json.dumps(rules))
    assert played.status != 0
    assert "by which this host is administered" in played.words
    assert set(played.changed.values()) == {0}


def test_a_nodes_agent_reaches_the_broker_and_nothing_else_where_that_is_asked_for(site: Site) -> None:
    node, broker, stranger = (site.hosts[name] for name in ("node1", "broker1", "stranger"))
    as_agent = ("runuser", "-u", "celery-magic", "--", "nc", "-z", "-w", "2")
    assert node.attempt(*as_agent, stranger.address, "22").returncode == 0
    site.provision("network", "--extra-vars", '{"fleet_agent_egress": []}')
    assert node.attempt(*as_agent, stranger.address, "22").returncode != 0
    assert node.attempt(*as_agent, broker.address, "22").returncode != 0
    assert node.attempt(*as_agent, broker.address, "5671").returncode == 0
    assert site.reaches(node, stranger.address, 22)  # other users are left alone
    assert site.send("MagicCeleryTask", 1, 2, 3) == "6"
