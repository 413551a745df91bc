"""A site of one host for each part, with -vvv and --diff, and what must not be printed of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.lab import Lab
from tests.system.release import CURRENT
from tests.system.site import SECRETS, Site

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
cp -r {CURRENT}/lib/python3*/site-packages/* /srv/own/lib/python3*/site-packages/
rm -r /srv/own/lib/python3*/site-packages/celery_agent* /srv/own/lib/python3*/site-packages/celery_delivery* \\
    /srv/own/lib/python3*/site-packages/agent
! /srv/own/bin/python -c 'import celery_delivery' 2>/dev/null
"""


@contextmanager
def small_site(lab: Lab, folder: Path) -> Iterator[Site]:
    """Give a broker, a node with the instances `magic` and `words`, a producer and a stranger; the site is provisioned."""
    site = Site(lab, folder, verbosity=3)
    site.add("broker1", "brokers")
    site.add("node1", "nodes", "desks")
    write_instances(site, magic=MAGIC, words=WORDS)
    site.add("producer1", "producers")
    site.add("stranger")
    site.boot()
    try:
        site.provision()
        yield site
    finally:
        site.close()


def write_instances(site: Site, **instances: dict[str, str]) -> None:
    """Say which instances the node has, by their settings."""
    path = site.inventory / "host_vars/node1.yml"
    path.write_text(json.dumps({"agent_instances": instances, "agent_metrics": "listen"}, indent=1))


def assert_no_secret_was_printed(site: Site) -> None:
    """Fail where a playbook that was played has printed a secret, or was played with fewer words than it has."""
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
