"""`agent check` on the env file: who may read and change it, and lines that say something else than they seem to."""

from __future__ import annotations

from pathlib import Path

from tests.integration.conftest import Check, Configure


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
