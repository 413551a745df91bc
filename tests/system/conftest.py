"""Fixtures of the tests on booted hosts."""

from collections.abc import Iterator

import pytest

from tests.system.fleet import Fleet, build
from tests.system.lab import Lab


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
