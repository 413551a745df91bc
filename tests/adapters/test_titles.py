"""What `ps` shows of a process that says itself what it is."""

import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import sys
from agent.guest.kernel import set_title
set_title(sys.stdin.read())
print(open("/proc/self/cmdline").read())
"""


def shown(title: str, *more: str) -> str:
    command = [sys.executable, "-c", LOOK, *more]
    done = subprocess.run(
        command, input=title, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    return done.stdout.rstrip("\n").rstrip("\0")


@pytest.mark.parametrize("title", ["celery-agent worker alpha.1 of magic", "größe ☃"])
def test_a_title_takes_the_place_of_the_command_line(title: str) -> None:
    assert shown(title) == title


def test_one_that_is_too_long_keeps_its_beginning_and_its_end() -> None:
    title = shown(f"celery-agent worker {'q' * 5000}.31 of magic")
    assert title.startswith("celery-agent worker qq")
    assert title.endswith("q.31 of magic")
    assert "~" in title
    assert len(title) < 5000
