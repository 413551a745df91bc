"""`agent check`: findings with advice, exit statuses, and no secrets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.errors import CONFIGURATION, FAILURE, NO_SUCH_INSTANCE, OK
from tests.integration.conftest import Check, Configure, Finding
from tests.rabbitmq import RabbitMQ


def of(findings: list[Finding], subject: str) -> Finding:
    (found,) = [each for each in findings if each["subject"] == subject]
    return found


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that is no broker: connections are made, and nothing ever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_celerys_own_variable_for_another_broker_has_no_effect_and_is_named(
    configure: Configure, check: Check, broker: RabbitMQ, vhost: str
) -> None:
    configure(**broker.variables(vhost), CELERY_BROKER_URL="redis://:secret@elsewhere//")
    status, findings = check()
    text = of(findings, "delivery")["text"]
    assert text.startswith(
        "CELERY_BROKER_URL is redis://:**@elsewhere//, and has no effect: broker_url of the settings"
    )
    assert of(findings, "broker")["text"].endswith(f"@127.0.0.1:{broker.port}/{vhost} accepts connections")
    assert status == OK


def test_all_is_well_with_a_broker_that_answers(
    configure: Configure, check: Check, broker: RabbitMQ, vhost: str
) -> None:
    configure(**broker.variables(vhost))
    status, findings = check()
    fragile = [each for each in findings if each["subject"] == "letters"]
    assert {each["level"] for each in findings if each not in fragile} == {"ok"}
    subjects = ["env file", "python", "queue", "broker", "running"]
    assert [each["subject"] for each in findings if each not in fragile] == subjects
    assert (
        of(findings, "running")["text"]
        == "magic does not run: only its configuration was looked at, and no worker or queue."
    )
    assert of(findings, "broker")["text"].endswith(f":**@127.0.0.1:{broker.port}/{vhost} accepts connections")
    assert status == OK


@pytest.mark.rabbitmq_4
def test_a_broker_whose_dead_letters_one_message_can_stop_is_warned_about(
    configure: Configure, check: Check, broker: RabbitMQ, vhost: str
) -> None:
    configure(**broker.variables(vhost))
    with broker.connect() as connection:
        release = connection.server_properties["version"]
    status, findings = check()
    told = [
        (each["level"], f" is RabbitMQ {release}: " in each["text"])
        for each in findings
        if each["subject"] == "letters"
    ]
    assert told == ([("warn", True)] if release.startswith("3.") else [])
    assert status == OK


def test_a_name_of_what_is_sent_that_no_contract_has_is_told(
    configure: Configure, check: Check, broker: RabbitMQ, vhost: str
) -> None:
    configure(**broker.variables(vhost), CELERY_AGENT_SENDS="slep")
    text = of(check()[1], "delivery")["text"]
    assert text.startswith("CELERY_AGENT_SENDS: There is no task 'slep'")
    assert "Did you mean 'sleep'?" in text


def test_a_queue_is_shown_with_its_tasks_and_settings(configure: Configure, check: Check, tmp_path: Path) -> None:
    configure(CELERY_AGENT_DEFAULTS__TIME_LIMIT="60", CELERY_TASKS_BROKER=f"embedded://{tmp_path}/broker")
    _, findings = check()
    assert of(findings, "queue")["text"] == (
        "unique_magic_task: consumer:ActualMagicCeleryTask (prefork, concurrency 1, time limit 60 s)"
    )


def test_the_embedded_broker_is_warned_about(configure: Configure, check: Check, tmp_path: Path) -> None:
    configure(CELERY_TASKS_BROKER=f"embedded://{tmp_path}/broker")
    status, findings = check()
    assert of(findings, "broker")["level"] == "warn"
    assert of(findings, "broker")["text"].startswith(f"embedded://{tmp_path}/broker is the embedded broker: ")
    assert status == OK


def test_a_port_where_nothing_listens_is_told_from_other_faults(
    configure: Configure, check: Check, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    listener.close()
    configure(RABBITMQ_HOST="127.0.0.1", RABBITMQ_PORT=str(port))
    status, findings = check()
    assert "Nothing listens there: start the broker, or correct" in of(findings, "broker")["text"]
    assert status == FAILURE


def test_a_host_without_an_address_is_told_from_other_faults(configure: Configure, check: Check) -> None:
    configure(RABBITMQ_HOST="broker.invalid")
    status, findings = check()
    assert "The host has no address: correct RABBITMQ_HOST, or the name service." in of(findings, "broker")["text"]
    assert status == FAILURE


def test_a_wrong_password_is_told_from_other_faults(configure: Configure, check: Check, broker: RabbitMQ) -> None:
    configure(**broker.variables(), RABBITMQ_PWD="hunter2")
    status, findings = check()
    assert "Correct RABBITMQ_USER and RABBITMQ_PWD" in of(findings, "broker")["text"]
    assert "hunter2" not in json.dumps(findings)
    assert status == FAILURE


def test_an_unknown_vhost_is_told_from_other_faults(configure: Configure, check: Check, broker: RabbitMQ) -> None:
    configure(**broker.variables("nowhere"))
    status, findings = check()
    assert "Create the virtual host and give the user rights in it" in of(findings, "broker")["text"]
    assert status == FAILURE


def test_a_port_without_tls_is_told_from_other_faults(configure: Configure, check: Check, broker: RabbitMQ) -> None:
    configure(**broker.variables(), RABBITMQ_TLS="1")
    status, findings = check()
    assert "is it the port for TLS?" in of(findings, "broker")["text"]
    assert status == FAILURE


def test_a_broker_without_tls_is_warned_about_where_a_network_is_between(
    configure: Configure, broker: RabbitMQ, vhost: str, tmp_path: Path
) -> None:
    """In a network namespace of its own, whose only way to the broker is by an address that is not loopback's."""
    configure(**broker.variables(vhost) | {"RABBITMQ_HOST": "10.77.0.1", "RABBITMQ_PORT": "5672"})
    way_out = tmp_path / "way-out"
    forward = f"{sys.executable} -m tests.forward"
    inside = (
        "ip link set lo up && ip address add 10.77.0.1/32 dev lo && "
        f"({forward} 10.77.0.1:5672 {way_out} & echo $! >{tmp_path}/pid) | read ready && "
        f"{sys.executable} -m agent check magic; kill $(cat {tmp_path}/pid)"
    )
    with subprocess.Popen(
        [*forward.split(), way_out, f"{broker.host}:{broker.port}"], stdout=subprocess.PIPE
    ) as outside:
        assert outside.stdout is not None
        assert outside.stdout.readline() == b"ready\n"
        done = subprocess.run(
            ["unshare", "-rn", "sh", "-c", inside], capture_output=True, text=True, timeout=60, check=False
        )
        outside.kill()
    (line,) = [line for line in done.stdout.splitlines() if " broker " in line]
    assert line.startswith("magic: warn  broker    rabbitmq://guest:**@10.77.0.1:5672/")
    assert "without TLS to 10.77.0.1: who is on the network between reads tasks and the password" in line


def test_a_port_that_never_answers_is_told_from_other_faults(
    configure: Configure, check: Check, listener: socket.socket
) -> None:
    configure(RABBITMQ_HOST="127.0.0.1", RABBITMQ_PORT=str(listener.getsockname()[1]))
    status, findings = check()
    assert "does a firewall let this node through" in of(findings, "broker")["text"]
    assert status == FAILURE


def test_a_wrong_configuration_weighs_more_than_a_broker_that_is_away(configure: Configure, check: Check) -> None:
    configure("CELERY_AGENT_QUEUES__other__POOL=solo", RABBITMQ_HOST="broker.invalid")
    status, findings = check()
    assert {each["subject"] for each in findings if each["level"] == "FAIL"} == {"tasks", "broker"}
    assert status == CONFIGURATION


def test_every_wrong_task_class_is_found_at_once(configure: Configure, check: Check) -> None:
    configure("CELERY_AGENT_TASKS=consumer:A,nowhere:B,consumer:ActualMagicCeleryTask,json:C")
    status, findings = check()
    assert len([each for each in findings if each["level"] == "FAIL" and each["subject"] == "tasks"]) == 3
    assert status == CONFIGURATION


@pytest.mark.parametrize("name", ["greek.dead", "celery-tasks.delay.3"])
def test_a_queue_that_would_be_one_of_the_library_s_own_is_refused(
    configure: Configure, check: Check, tmp_path: Path, name: str
) -> None:
    code = f"import celery\nclass Plain(celery.Task):\n    name = {name!r}\n    def run(self): pass\n"
    (tmp_path / "code" / "plain.py").write_text(code)
    configure("CELERY_AGENT_TASKS=plain:Plain")
    status, findings = check()
    assert f"its queue is {name!r}, and the library has queues of its own" in of(findings, "tasks")["text"]
    assert status == CONFIGURATION


def test_findings_are_lines_on_stdout_and_tracebacks_go_to_stderr(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "code" / "broken.py").write_text("import os\nprint('hello')\nraise KeyError('x')\n")
    path = configure("CELERY_AGENT_TASKS=broken:Task")
    assert main(["check", "magic"]) == CONFIGURATION
    printed = capsys.readouterr()
    assert [line.split(maxsplit=3)[:3] for line in printed.out.splitlines()] == [
        ["magic:", "ok", "env"],
        ["magic:", "ok", "python"],
        ["magic:", "FAIL", "tasks"],
        ["magic:", "ok", "running"],
    ]
    assert f"{path}:2: CELERY_AGENT_TASKS names 'broken:Task'" in printed.out
    assert printed.err.startswith("    Traceback (most recent call last):\n      File ")
    assert "KeyError: 'x'" in printed.err


def test_where_an_import_hangs_is_shown(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "code" / "slow.py").write_text("import time\n\n\ntime.sleep(1000)\n")
    configure("CELERY_AGENT_TASKS=slow:Task", "CELERY_AGENT_IMPORT_TIMEOUT=6")
    assert main(["check", "magic"]) == CONFIGURATION
    assert f'File "{tmp_path}/code/slow.py", line 4 in <module>' in capsys.readouterr().err


def test_without_a_name_every_instance_is_checked(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(CELERY_TASKS_BROKER=f"embedded://{tmp_path}/broker")
    (tmp_path / "etc" / "wrong.env").write_text("CELERY_AGENT_TASKS=\n")
    assert main(["check"]) == CONFIGURATION
    printed = capsys.readouterr().out
    assert {line.partition(":")[0] for line in printed.splitlines()} == {"magic", "wrong"}


def test_where_no_instance_is_configured_there_is_none_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CELERY_AGENT_CONFIG_DIR", str(tmp_path))
    assert main(["check"]) == NO_SUCH_INSTANCE
    assert capsys.readouterr().err == f"agent: No instance is configured on this node: {tmp_path} has no env file.\n"


def test_an_env_file_elsewhere_names_its_instance(configure: Configure, tmp_path: Path) -> None:
    path = configure(CELERY_TASKS_BROKER=f"embedded://{tmp_path}/broker")
    assert main(["check", "--env-file", str(path)]) == OK
