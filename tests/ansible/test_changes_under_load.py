"""A fleet changes while tasks flow, and none is lost: a third node, new code, a new release, passwords, the authority."""

import shutil
from pathlib import Path

import pytest

from tests.ansible import load
from tests.node import ROOT
from tests.system.site import Site, build_release

INSTANCES = {
    "naps": {
        "CELERY_AGENT_TASKS": "magic_consumer.tasks:Sleep",
        "CELERY_AGENT_PATH": "{{ code_paths.consumer }}:{{ code_paths.consumer }}/src",
    }
}


@pytest.fixture(scope="module")
def site(empty: Site) -> Site:
    empty.add("broker1", "brokers")
    for name in ("one", "two"):
        empty.add(name, "nodes", agent_instances=INSTANCES)
    empty.add("producer1", "producers")
    empty.add("three", agent_instances=INSTANCES)
    empty.boot()
    empty.provision()
    return empty


def settle(site: Site) -> load.Ledger:
    """Stop the load; check that each task that was accepted has its answer."""
    found = load.end(site)
    assert len(found.accepted) > 20
    assert set(found.answered) == set(found.accepted)
    return found


def pids(site: Site, *nodes: str) -> dict[str, int]:
    return {node: site.status(node, "naps")["queues"][0]["pid"] for node in nodes}


def test_a_third_node_joins_and_the_others_do_not_notice(site: Site) -> None:
    before = pids(site, "one", "two")
    load.begin(site)
    site.move("three", "nodes")
    site.provision("site", "--limit", "brokers,three")
    assert settle(site).refused == []
    assert pids(site, "one", "two") == before
    assert site.status("three", "naps")["queues"][0]["consuming"]


def test_new_code_replaces_worker_by_worker_under_the_same_agent(site: Site, tmp_path: Path) -> None:
    code = shutil.copytree(ROOT / "examples/consumer", tmp_path / "consumer")
    with (code / "magic_consumer/tasks.py").open("a") as tasks:
        tasks.write("\nEDITION = 2\n")
    before = {node: site.status(node, "naps")["pid"] for node in ("one", "two")}
    load.begin(site)
    site.set(code_trees={"consumer": {"celery_tasks": str(ROOT / "celery_tasks"), "src": str(code)}})
    site.provision("agent")
    assert settle(site).refused == []
    assert {node: site.status(node, "naps")["pid"] for node in before} == before
    path = site.hosts["one"].run("cat", "/etc/celery-agent/naps.env")
    assert site.hosts["one"].run("readlink", "-f", load.CODE).strip() in path


def test_code_that_cant_be_imported_is_refused_before_any_node_changes(site: Site, tmp_path: Path) -> None:
    code = shutil.copytree(ROOT / "examples/consumer", tmp_path / "consumer")
    with (code / "magic_consumer/tasks.py").open("a") as tasks:
        tasks.write("\nimport nowhere\n")
    before = pids(site, "one", "two", "three")
    kept = (site.inventory / "group_vars/all/lab.yml").read_text()
    site.set(code_trees={"consumer": {"celery_tasks": str(ROOT / "celery_tasks"), "src": str(code)}})
    played = site.play("agent")
    (site.inventory / "group_vars/all/lab.yml").write_text(kept)
    assert played.status != 0
    assert "No module named 'nowhere'" in played.words
    assert pids(site, "one", "two", "three") == before


def test_a_new_release_goes_from_node_to_node(site: Site, tmp_path: Path) -> None:
    load.begin(site)
    site.set(release_folder=str(_release(tmp_path, "0.1.1", "")))
    site.provision("agent")
    assert settle(site).refused == []
    assert {site.status(node, "naps")["version"] for node in ("one", "two", "three")} == {"0.1.1"}
    assert site.provision("agent").changes == []


def test_a_broken_release_stops_at_the_first_node_which_is_put_back(site: Site, tmp_path: Path) -> None:
    kept = (site.inventory / "group_vars/all/lab.yml").read_text()
    before = pids(site, "two", "three")
    load.begin(site)
    site.set(
        release_folder=str(_release(tmp_path, "0.1.2", "raise RuntimeError('a bug that only a running agent has')"))
    )
    played = site.play("agent")
    (site.inventory / "group_vars/all/lab.yml").write_text(kept)
    assert settle(site).refused == []
    assert played.status != 0
    assert "one did not become ready and runs 0.1.1" in played.words
    assert pids(site, "two", "three") == before
    assert {site.status(node, "naps")["version"] for node in ("one", "two", "three")} == {"0.1.1"}
    site.provision("verify")


def test_passwords_are_rotated(site: Site) -> None:
    load.begin(site)
    site.set(fleet_secret="another secret that is long enough")
    site.provision("broker")
    site.provision("agent")
    assert settle(site).refused == []
    site.provision("producer")
    site.provision("verify")
    assert site.send("SleepTask", 0.1) == "0.1"


def test_the_authority_is_rotated(site: Site) -> None:
    load.begin(site)
    site.set(authority_trusted=["ca", "second"])
    site.provision()
    site.set(authority_signer="second")
    site.provision("broker")
    assert site.send("SleepTask", 0.1) == "0.1"
    site.set(authority_trusted=["second"])
    site.provision()
    assert settle(site).refused == []
    assert site.send("SleepTask", 0.1) == "0.1"
    site.provision("verify")


def test_a_node_that_leaves_takes_everything_with_it(site: Site) -> None:
    broker, gone = site.hosts["broker1"], site.hosts["three"]
    load.begin(site)
    site.provision("remove", "--limit", "three")
    site.move("three")
    site.provision("broker")
    assert settle(site).refused == []
    left = "ls -d /opt/celery-agent /etc/celery-agent /var/lib/celery-agent /etc/systemd/system/celery-agent*"
    assert gone.attempt("sh", "-c", f"{left} 2>/dev/null").stdout == ""
    assert "naps.three" not in broker.run("rabbitmqctl", "--quiet", "list_users")
    assert not site.reaches(gone, broker.address, 5671)
    site.provision("verify")


def _release(folder: Path, version: str, bug: str) -> Path:
    """Build a release of another version, with a statement of our own at the beginning of the daemon's run."""
    source = folder / "source"
    source.mkdir()
    for name in ("agent", "deploy/systemd", "requirements", "scripts"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    path = source / "agent/version.py"
    path.write_text(path.read_text().replace('"0.1.0"', f'"{version}"'))
    daemon = source / "agent/run/daemon.py"
    daemon.write_text(daemon.read_text() + f"\n{bug}\n")
    return build_release(folder / "dist", source)
