"""What the unit makes of configurations that are wrong, secrets that must stay secret, and people who ask."""

import re
from collections.abc import Iterator

import pytest

from tests.system.fleet import DEPLOY, Fleet
from tests.system.release import CURRENT
from tests.system.service import PASSWORD, Service

AGENT = f"{CURRENT}/bin/agent"


@pytest.fixture
def magic(fleet: Fleet) -> Iterator[Service]:
    """The instance magic, whose password is a credential; configured and off."""
    fleet.magic.configure("Magic")
    yield fleet.magic
    fleet.magic.reset()


def test_a_wrong_env_file_fails_the_start_with_the_line_that_says_what_to_do(magic: Service) -> None:
    magic.write_env_file("CELERY_AGENT_TASKS=magic_tasks:Magic\nCELERY_AGENT_PATH=/srv/magic\nCELERY_AGENT_POOL=solo\n")
    done = magic.host.attempt("systemctl", "start", magic.unit)
    assert done.returncode == 1
    line = "/etc/celery-agent/magic.env:3: CELERY_AGENT_POOL is no setting of the agent."
    shown = magic.host.attempt("systemctl", "status", "--no-pager", "--full", magic.unit).stdout
    assert f'Status: "{line}' in shown
    assert f"agent: {line}" in shown
    waited = magic.host.attempt("/opt/celery-agent/current/bin/agent", "status", "magic", "--wait", "60")
    assert waited.returncode == 3
    assert f"agent: magic has ended with status 78, and systemd does not start it again: {line}" in waited.stderr
    _stays_failed(magic, "78")


def test_task_classes_that_cannot_be_imported_fail_the_start(magic: Service) -> None:
    magic.configure("Magick")
    assert magic.host.attempt("systemctl", "start", magic.unit).returncode == 1
    assert "magic_tasks:Magick" in magic.show("StatusText")
    assert "Did you mean" in magic.show("StatusText")
    _stays_failed(magic, "78")


def test_a_missing_credential_fails_the_start_and_is_named(magic: Service) -> None:
    source = "/etc/celery-agent/magic.password"
    magic.host.run("mv", source, f"{source}.away")
    try:
        assert magic.host.attempt("systemctl", "start", magic.unit).returncode == 1
    finally:
        magic.host.run("mv", f"{source}.away", source)
    assert magic.show("StatusText") == (
        "celery-agent@magic.service: its credential RABBITMQ_PWD is empty. Make the file that "
        "LoadCredential=RABBITMQ_PWD: names, see `systemctl cat celery-agent@magic.service`."
    )
    _stays_failed(magic, "78")
    magic.systemctl("start")


def test_a_missing_credential_without_a_stand_in_fails_the_start_for_good(magic: Service) -> None:
    magic.drop_in("other", "[Service]\nLoadCredential=OTHER:/etc/celery-agent/none\n")
    assert magic.host.attempt("systemctl", "start", magic.unit).returncode == 1
    _stays_failed(magic, "243")


def test_a_password_that_is_a_credential_is_in_no_environment_command_line_journal_or_answer(magic: Service) -> None:
    magic.systemctl("start")
    assert magic.send("Magic", 1, 2, 3) == 6
    pids = magic.pids()
    assert len(pids) >= 3
    seen = [magic.host.run("cat", *(f"/proc/{pid}/{file}" for pid in pids)) for file in ("environ", "cmdline")]
    assert "RABBITMQ_PWD_FILE=/run/credentials/celery-agent@magic.service/RABBITMQ_PWD" in seen[0]
    seen += [
        magic.agent(*words) for words in (("status",), ("status", "--json"), ("config", "magic"), ("check", "magic"))
    ]
    seen += [magic.journal(), magic.host.run("systemctl", "show", magic.unit)]
    assert [text for text in seen if PASSWORD in text] == []


def test_authority_certificate_and_key_come_as_credentials_too(fleet: Fleet, magic: Service) -> None:
    _, section, lines = (DEPLOY / "dropins" / "credentials.conf").read_text().partition("[Service]\n")
    magic.drop_in("tls", section + lines.replace("#", ""))
    magic.write_env_file(magic.host.run("cat", magic.env_file) + "RABBITMQ_TLS=1\n")
    magic.systemctl("start")
    assert magic.show("StatusText") == "consuming from 1 queue"
    assert magic.send("Magic", 1, 2, 3) == 6
    connections = fleet.broker.run(
        "rabbitmqctl", "--quiet", "--no-table-headers", "list_connections", "ssl", "peer_cert_issuer"
    )
    assert [line for line in connections.splitlines() if line.startswith("true\tCN=authority")]
    for pid in magic.pids():
        assert "PRIVATE KEY" not in magic.host.run("cat", f"/proc/{pid}/environ")


def test_a_password_in_user_code_s_traceback_is_masked_when_the_start_fails(magic: Service) -> None:
    magic.host.write(
        "/srv/magic/telling.py",
        "from celery_tasks.celery_config import broker_url\n"
        "from celery_tasks.rabbitmq_config import RABBITMQ_PWD\n"
        "raise RuntimeError(f'no luck with {RABBITMQ_PWD} at {broker_url}')\n",
    )
    magic.write_env_file("CELERY_AGENT_TASKS=telling:Tasks\nCELERY_AGENT_PATH=/srv/magic\nRABBITMQ_HOST=broker\n")
    assert magic.host.attempt("systemctl", "start", magic.unit).returncode == 1
    assert re.search(r"no luck with \*\* at \w+://guest:\*\*@broker:5672", magic.show("StatusText"))
    assert PASSWORD not in magic.journal()


def test_a_wrong_password_is_not_told_to_anybody(magic: Service) -> None:
    source, wrong = "/etc/celery-agent/magic.password", "wrong-9hT.password"
    magic.host.write(source, f"{wrong}\n", mode=0o600)
    try:
        magic.systemctl("start")
        done = magic.host.attempt(AGENT, "check", "magic")
        status = magic.agent("status", "magic")
    finally:
        magic.host.write(source, f"{PASSWORD}\n", mode=0o600)
    assert done.returncode == 1
    assert "ACCESS_REFUSED" in done.stdout
    assert "ACCESS_REFUSED" in magic.journal()
    assert [text for text in (done.stdout, done.stderr, status, magic.journal()) if wrong in text] == []


def test_an_env_file_with_a_password_that_others_can_read_is_warned_about(fleet: Fleet) -> None:
    fleet.numbers.configure("Spectrum", PYTHON=fleet.numbers.code.python)
    path = fleet.numbers.env_file
    assert "every user" not in fleet.numbers.agent("check", "numbers")
    fleet.node.run("chmod", "o+r", path)
    assert (
        f"numbers: warn  env file  {path} can be read by every user, and holds RABBITMQ_PWD. chmod o-rwx {path}"
        in fleet.numbers.agent("check", "numbers")
    )
    fleet.numbers.reset()


def test_who_is_in_the_group_may_ask_and_who_is_not_is_told_so_in_one_line(magic: Service) -> None:
    magic.systemctl("start")
    member = magic.host.attempt("runuser", "-u", "olga", "--", AGENT, "status", "magic")
    assert (member.returncode, member.stdout.splitlines()[0]) == (0, "magic: running, consuming from 1 queue")
    for words in (("status",), ("status", "magic"), ("reload", "magic")):
        stranger = magic.host.attempt("runuser", "-u", "stranger", "--", AGENT, *words)
        assert (stranger.returncode, stranger.stdout) == (1, "magic: no answer\n" if words[0] == "status" else "")
        assert stranger.stderr == (
            "agent: this user may not ask the agent at /run/celery-agent/magic/control.sock: "
            "be root, or in the group celery-agent\n"
        )


def test_workers_know_nothing_of_systemd_s_socket_and_watchdog(magic: Service) -> None:
    magic.systemctl("start")
    worker = magic.queue("unique_magic_task")["pid"]
    environment = magic.host.run("cat", f"/proc/{worker}/environ")
    assert "CREDENTIALS_DIRECTORY=" in environment
    assert not any(f"\0{name}" in environment for name in ("NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID="))
    assert "WATCHDOG_USEC=" in magic.host.run("cat", f"/proc/{magic.show('MainPID')}/environ")


def _stays_failed(service: Service, status: str) -> None:
    """Fail unless the unit is failed, with this exit status; one that is to be restarted is `activating` until then."""
    assert (service.show("ActiveState"), service.show("ExecMainStatus")) == ("failed", status)
    assert service.show("NRestarts") == "0"
