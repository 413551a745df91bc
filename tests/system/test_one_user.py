"""A node where all instances run as one user, as those of former releases do: it is told so, and the README moves it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.fleet import Fleet, install_commands
from tests.system.service import Service

ONE_USER = "[Service]\nUser=celery-agent\n"
STATE = "/var/lib/celery-agent/numbers/result"
INSTANCES_USERS = "/etc/sysusers.d/celery-agent-instances.conf"


@pytest.fixture
def shared(fleet: Fleet) -> Iterator[tuple[Service, Service]]:
    """Both instances at work as one user, whose task has written a file; no user of their own is declared."""
    services = fleet.magic, fleet.numbers
    fleet.node.run("rm", "-f", INSTANCES_USERS)
    fleet.node.run("systemd-sysusers", "-", text="u celery-agent - - -\n")
    fleet.magic.configure("Magic")
    fleet.numbers.configure("Try", PYTHON=fleet.numbers.code.python)
    for service in services:
        fleet.node.run("chgrp", "celery-agent", service.env_file)
        service.drop_in("user", ONE_USER)
        service.systemctl("start")
    assert fleet.numbers.send("Try", "write", STATE) == "done"
    yield services
    for service in services:
        service.reset()


def test_check_says_that_the_node_is_one_trust_domain(shared: tuple[Service, Service]) -> None:
    said = shared[0].agent("check", "magic")
    assert "magic: warn  user      numbers runs as celery-agent too: the tasks of each can read the secrets" in said


def test_the_readme_s_commands_give_each_a_user_of_its_own(fleet: Fleet, shared: tuple[Service, Service]) -> None:
    _, _, move = install_commands()
    fleet.node.run("sh", "-euc", move)
    for service in shared:
        service.drop_in("user", "")
        service.systemctl("restart")
        (user,) = set(fleet.node.run("ps", "-o", "user:32=", "-p", ",".join(map(str, service.pids()))).split())
        assert user == f"celery-{service.instance}"
        assert "trust domain" not in service.agent("check", service.instance)
    assert fleet.numbers.send("Try", "write", STATE) == "done"
    assert fleet.node.run("stat", "--format=%U:%G", STATE) == "celery-numbers:celery-numbers\n"
    assert fleet.node.run("sort", INSTANCES_USERS).count("\n") == 2


def test_an_instance_without_its_user_fails_at_once(fleet: Fleet) -> None:
    fleet.magic.configure("Magic")
    fleet.magic.drop_in("user", "[Service]\nUser=celery-nobody-made\n")
    assert fleet.magic.host.attempt("systemctl", "start", fleet.magic.unit).returncode == 1
    assert (fleet.magic.show("ActiveState"), fleet.magic.show("ExecMainStatus")) == ("failed", "217")
    fleet.magic.reset()
