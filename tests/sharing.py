"""How the tests are shared out to several processes, by pytest-xdist: `make test` says -p tests.sharing."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling


class Scheduling(LoadFileScheduling):
    """One process has a file as a whole, for the fixtures of its module; and all of tests/system, for its one fleet."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/system" if nodeid.startswith("tests/system/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Have the tests shared out like that."""
    return Scheduling(config, log)
