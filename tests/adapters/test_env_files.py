"""Env files of every shape: what the agent takes, python-dotenv, systemd and bash read alike, or it is said where they don't.

`make fuzz` tries 100,000.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config.envfile import EnvFile, parse_env_file
from agent.config.problems import InvalidConfiguration
from tests.adapters.env_files import Systemd, by_bash, by_dotenv, can_be_alike, env_file, quoted, value

pytestmark = pytest.mark.fuzz

BATCH = 1000

# What systemd alone reads otherwise, as agent/config/readers.py says.
SYSTEMDS_OWN = re.compile(r"[ \t]#|^[^\S\r\n]*(?:export\b|#[^\r\n]*\\)", re.MULTILINE)


@pytest.fixture
def chance(seed: int) -> random.Random:
    return random.Random(seed)


def accepted(count: int, chance: random.Random) -> Iterator[tuple[str, EnvFile]]:
    """Yield those of so many files that the agent takes, and what it makes of them; it refuses the rest by lines."""
    for _ in range(count):
        text = env_file(chance)
        try:
            yield text, parse_env_file(text.encode(), Path("magic.env"))
        except InvalidConfiguration as error:
            assert all(problem.line.isprintable() for problem in error.problems), text


def values(file: EnvFile) -> dict[str, str]:
    return {variable.name: variable.value for variable in file.variables}


def test_an_env_file_is_what_dotenv_and_systemd_make_of_it(count: int, chance: random.Random, tmp_path: Path) -> None:
    path, systemd, compared = tmp_path / "magic.env", Systemd(), 0
    for text, file in accepted(count, chance):
        assert by_dotenv(text) == values(file), repr(text)
        if not SYSTEMDS_OWN.search(text):
            path.write_bytes(text.encode())
            assert systemd.read(path) == values(file), repr(text)
            compared += 1
    assert compared > count / 10


def test_an_env_file_is_what_a_shell_makes_of_it_unless_it_is_said_to_be_another(
    count: int, chance: random.Random, tmp_path: Path
) -> None:
    same = [(text, values(file)) for text, file in accepted(count, chance) if not file.unlike_shell]
    assert len(same) > count / 10
    for start in range(0, len(same), BATCH):
        batch = same[start : start + BATCH]
        paths = [tmp_path / f"{number}.env" for number in range(len(batch))]
        for path, (text, _) in zip(paths, batch, strict=True):
            path.write_bytes(text.encode())
        for (text, expected), found in zip(batch, by_bash(paths), strict=True):
            assert found == expected, repr(text)


def test_a_value_of_whatever_characters_can_be_written_so_that_all_read_it_alike(
    count: int, chance: random.Random, tmp_path: Path
) -> None:
    path, systemd = tmp_path / "magic.env", Systemd()
    expected: dict[str, str] = {}
    while len(expected) < min(count, 5000):
        text = value(chance)
        if can_be_alike(text):
            expected[f"V{len(expected)}"] = text
    path.write_bytes("".join(f"{name}={quoted(text)}\n" for name, text in expected.items()).encode())
    file = parse_env_file(path.read_bytes(), path)
    assert file.unlike_shell == ()
    assert values(file) == expected
    assert systemd.read(path) == expected
    assert by_bash([path]) == [expected]
