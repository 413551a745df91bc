"""Old code stays for as long as an instance runs it, and no secret is printed, also by what fails."""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.node import ROOT
from tests.system.lab import Lab
from tests.system.site import Site
from tests.system.small_site import (
    MAGIC,
    OWN,
    PATH,
    TOKEN,
    WORDS,
    assert_no_secret_was_printed,
    small_site,
    write_instances,
)
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_site(lab, tmp_path_factory.mktemp("site")) as site:
        yield site


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
    write_instances(site, magic=MAGIC | {"CELERY_AGENT_PATH": f"{before}:{before}/src"}, words=WORDS | own)
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
    assert_no_secret_was_printed(site)
