"""Fixtures of the tests on booted hosts."""

from collections.abc import Iterator

import pytest

from tests.system.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab without hosts, for the tests of one module."""
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab
