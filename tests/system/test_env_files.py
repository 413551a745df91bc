"""Env files as a booted systemd reads them for a unit, and as the playbooks write them."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from agent.config.envfile import parse_env_file
from agent.config.problems import InvalidConfiguration
from tests.adapters.env_files import Systemd, assignment, by_bash, can_be_alike, value
from tests.adapters.test_env_files import SYSTEMDS_OWN, values
from tests.node import ROOT
from tests.system.host import Host
from tests.system.images import image
from tests.system.lab import Lab
from tests.waiting import wait_until

VARIABLES = 3000
UNIT = """[Service]
Type=oneshot
EnvironmentFile=/etc/many.env
StandardOutput=file:/run/many
ExecStart=/usr/bin/env --null
ExecStart=/usr/bin/touch /run/many.done
"""


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.fixture
def host(lab: Lab) -> Host:
    host = lab.add("node", image())
    lab.start()
    return host


def test_a_unit_gets_from_its_environment_file_what_the_agent_reads_there(host: Host, chance: random.Random) -> None:
    text, expected = "", dict[str, str]()
    while len(expected) < VARIABLES:
        name = f"V{len(expected)}"
        line = assignment(chance, name)
        try:
            found = values(parse_env_file(line.encode(), Path("many.env")))
        except InvalidConfiguration:
            continue
        if list(found) == [name] and line.endswith("\n") and not SYSTEMDS_OWN.search(line):
            text += line
            expected |= found
    host.write("/etc/many.env", text)
    host.write("/etc/systemd/system/many.service", UNIT)
    host.run("systemctl", "start", "many")
    wait_until(lambda: host.attempt("test", "-e", "/run/many.done").returncode == 0, 60, "the unit has run")
    printed = base64.b64decode(host.run("base64", "/run/many")).decode().split("\0")
    assert dict(line.split("=", 1) for line in printed if line.startswith("V")) == expected


def test_what_the_playbooks_write_is_read_as_it_stands_in_the_inventory(chance: random.Random, tmp_path: Path) -> None:
    expected: dict[str, str] = {}
    while len(expected) < 300:
        text = value(chance)
        if can_be_alike(text) and not any(each in text for each in ("{{", "{%", "{#")):  # these are Ansible's own
            expected[f"V{len(expected)}"] = text
    variables = {"agent_environment": {}, "agent_instances": {"magic": expected}, "agent_users": {"magic": "me"}}
    path = tmp_path / "magic.env"
    arguments = {"src": str(ROOT / "deploy/ansible/roles/agent/templates/instance.env.j2"), "dest": str(path)}
    subprocess.run(
        [
            Path(sys.executable).parent / "ansible", "localhost", "-m", "ansible.builtin.template", "-a", json.dumps(arguments),
            "-e", json.dumps(variables | {"agent_instance": "magic", "ansible_managed": "By Ansible"}),
        ],
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    file = parse_env_file(path.read_bytes(), path)
    assert file.unlike_shell == ()
    assert values(file) == expected | {"RABBITMQ_USER": "me"}
    assert Systemd().read(path) == values(file)
    assert by_bash([path]) == [expected]
