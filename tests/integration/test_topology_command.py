"""`agent topology` where there is none to print, or less than its user may think: one clear line."""

from __future__ import annotations

import pytest

from agent.errors import CONFIGURATION, FAILURE, NO_SUCH_INSTANCE, USAGE
from tests.node import Node


def test_clients_that_declare_are_pointed_out(node: Node) -> None:
    node.configure("alpha")
    said = node.run("topology", "magic").stderr
    assert "magic: its clients declare what they use, and need more rights than these." in said


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), USAGE, "the following arguments are required: INSTANCE"),
        (("magick",), NO_SUCH_INSTANCE, "There is no instance 'magick'"),
        (("magic", "--password-file", "file"), FAILURE, "--password-file is 'file', but must be USER=FILE."),
        (("magic", "--password-file", "me=/x"), FAILURE, "names user 'me', but the users are guest."),
        (
            ("magic", "--password-file", "guest=/nowhere"),
            FAILURE,
            "--password-file names /nowhere, which can't be read: No such file or directory.",
        ),
        (("magic", "--password-file", "guest=/dev/null"), FAILURE, "--password-file names /dev/null, which is empty"),
    ],
)
def test_bad_input_is_one_line(node: Node, arguments: tuple[str, ...], status: int, said: str) -> None:
    node.configure("alpha")
    done = node.run("topology", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "status", "said"),
    [
        (
            {"CELERY_TASKS_DELIVERY": "article"},
            FAILURE,
            "CELERY_TASKS_DELIVERY=article leaves declaring to the clients",
        ),
        ({"CELERY_TASKS_BROKER": "embedded"}, FAILURE, "The embedded broker has neither users nor rights"),
        ({"CELERY_TASKS_DECLARE": "maybe"}, CONFIGURATION, "CELERY_TASKS_DECLARE is 'maybe', but must be 1 or 0"),
    ],
)
def test_what_has_no_topology_is_one_line(node: Node, variables: dict[str, str], status: int, said: str) -> None:
    node.variables |= variables
    node.configure("alpha")
    done = node.run("topology", "magic", "--definitions")
    assert (done.returncode, done.stdout) == (status, "")
    (line,) = done.stderr.splitlines()
    assert said in line
