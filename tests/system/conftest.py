"""Fixtures of the tests on booted hosts."""

from collections.abc import Callable, Iterator

import pytest

from tests.system.fleet import Fleet, build
from tests.system.lab import Lab

_MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab without hosts, for the tests of one module."""
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A broker, and a node on which the unit is installed; one for all modules, because a broker's start is dear."""
    folder = tmp_path_factory.mktemp("fleet")
    with Lab(folder) as lab:
        yield build(lab, folder)


@pytest.fixture
def measured(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """A function that takes a line for the end of the run: what was measured on the way."""
    return pytestconfig.stash.setdefault(_MEASURED, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_MEASURED, [])
    if lines:
        terminalreporter.section("measured on booted hosts")
        terminalreporter.write("".join(f"{line}\n" for line in lines))
