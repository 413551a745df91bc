"""`agent check`: findings with advice, exit statuses, and no secrets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.errors import CONFIGURATION, FAILURE, NO_SUCH_INSTANCE, OK
from tests.integration.conftest import Configure
from tests.rabbitmq import RabbitMQ

Finding = dict[str, str]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, list[Finding]]]:
    """Return a function that checks instance `magic` and returns exit status and findings."""

    def run() -> tuple[int, list[Finding]]:
        status = main(["check", "magic", "--json"])
        value = json.loads(capsys.readouterr().out)
        (instance,) = value["instances"]
        assert (value["schema"], instance["instance"], instance["exit_status"]) == (1, "magic", status)
        return status, instance["findings"]

    return run


Check = Callable[[], tuple[int, list[Finding]]]


def of(findings: list[Finding], subject: str) -> Finding:
    (found,) = [each for each in findings if each["subject"] == subject]
    return found


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that is no broker: connections are made, and nothing ever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_all_is_well_with_a_broker_that_answers(
    configure: Configure, check: Check, broker: RabbitMQ, vhost: str
) -> None:
    configure(**broker.variables(vhost))
    status, findings = check()
    fragile = [each for each in findings if each["subject"] == "letters"]
    assert {each["level"] for each in findings if each not in fragile} == {"ok"}
    assert [each["subject"] for each in findings if each not in fragile] == ["env file", "python", "queue", "broker"]
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


def test_an_env_file_with_a_secret_that_everyone_can_read_is_warned_about(configure: Configure, check: Check) -> None:
    path = configure(RABBITMQ_PWD="hunter2", RABBITMQ_HOST="broker.invalid")
    path.chmod(0o644)
    _, findings = check()
    assert findings[1]["level"] == "warn"
    assert findings[1]["text"] == (f"{path} can be read by every user, and holds RABBITMQ_PWD. chmod o-rwx {path}")


def test_a_password_file_that_everyone_can_read_is_warned_about(
    configure: Configure, check: Check, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2")
    password.chmod(0o644)
    path = configure(RABBITMQ_PWD_FILE=str(password), RABBITMQ_HOST="broker.invalid")
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text.startswith("RABBITMQ_PWD_FILE"))
    _, findings = check()
    expected = (
        f"{path}:{line}: {password} can be read by every user, and RABBITMQ_PWD_FILE names it. chmod o-rwx {password}"
    )
    assert findings[1]["text"] == expected


def test_an_env_file_that_everyone_can_change_is_warned_about(configure: Configure, check: Check) -> None:
    path = configure(RABBITMQ_HOST="broker.invalid")
    path.chmod(0o646)
    _, findings = check()
    assert findings[1]["text"] == f"{path} can be changed by every user. chmod o-w {path}"


def test_a_line_that_does_not_count_is_warned_about(configure: Configure, check: Check) -> None:
    path = configure("A=1", "B=2", "A=3", RABBITMQ_HOST="broker.invalid")
    _, findings = check()
    assert findings[1]["text"] == f"{path}:3: A comes again in line 5, which counts."


def test_what_a_shell_would_read_otherwise_is_warned_about(configure: Configure, check: Check) -> None:
    path = configure("A=$B", "B=2", "C=d e", RABBITMQ_HOST="broker.invalid")
    _, findings = check()
    expected = f"{path}: a shell that reads this file takes other values, or none, for A (line 3), C (line 5). Write"
    assert [finding["text"] for finding in findings if finding["text"].startswith(expected)] != []


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
