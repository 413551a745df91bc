"""Fixtures of the tests of deploy/ansible that take longer than `make test` can."""

from collections.abc import Iterator

import pytest

from tests.system.lab import Lab
from tests.system.site import Site


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab without hosts, for the tests of one module."""
    with Lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def empty(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site without hosts."""
    site = Site(lab, tmp_path_factory.mktemp("site"))
    yield site
    site.close()
