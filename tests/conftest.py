"""Fixtures that all tiers share."""

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import celeries, leftovers
from tests.node import Node
from tests.projects import Project
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.truth import held_to_the_truth

# The tiers in the order in which they begin, and seconds after which a test counts as hanging and fails, with the stacks of all
# threads. On a busy machine it takes far less, with the fixtures that it is the first to need: images that are made once, a
# fleet that is provisioned. What fails fast begins first; then the dear parts that can't be divided, beside which the many
# small ones of integration are worked off. Of these the smallest files come last, which take the shortest as a rule: so all
# processes that run tests end together.
TIME_LIMITS = {
    "architecture": 120,
    "unit": 60,
    "adapters": 120,
    "system": 1800,
    "chaos": 1200,
    "health": 600,
    "guide": 600,
    "integration": 600,
    "ansible": 5400,
    "browser": 300,
    "vm": 5400,
    "public": 3600,
}

# An input that takes long says nothing: each may have to wait for its CPU. A test has a limit as a whole.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

FEW_INPUTS = 2000  # of a test marked fuzz, within its tier's limit


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="count a skipped test as a failure: nothing goes unseen")
    parser.addoption(
        "--bursts", type=int, default=1, help="bursts of no-op tasks through each solo worker; see `make stall`"
    )
    parser.addoption(
        "--every-pair", action="store_true", help="kill every pair of an agent's processes; see `make chaos`"
    )
    parser.addoption(
        "--inputs", type=int, default=FEW_INPUTS, help="inputs of garbage in each test marked fuzz; see `make fuzz`"
    )
    parser.addoption("--tasks", type=int, default=300, help="tasks of an app that lose nothing; see `make safe`")
    parser.addoption("--turns", type=int, default=1, help="results for each of 30 threads; see `make results`")
    parser.addoption("--chains", type=int, default=200, help="of three steps while workers die; see `make results`")
    parser.addoption("--seed", type=int, default=0, help="of the garbage")
    parser.addoption("--innocents", type=int, help="tasks around those that end their process; see `make innocents`")
    parser.addoption("--kills", type=int, default=2, help="leaders of a schedule to kill; see `make schedules`")
    parser.addoption(
        "--celeries",
        type=lambda text: text.split(","),
        default=["oldest"],
        help="releases of Celery that projects have; see `make test-celery`",
    )
    parser.addoption(
        "--ledger", type=int, help="tasks to each kind of worker that is killed; default a few hundred to one of them"
    )
    parser.addoption(
        "--whole-guide", action="store_true", help="each row of Celery's user guide on each pool; see `make test-guide`"
    )
    parser.addoption("--entries", type=int, default=300, help="tasks whose counts are compared; see `make ledger`")
    parser.addoption("--burst", type=int, default=300, help="no-op tasks in a burst")


def pytest_configure() -> None:
    leftovers.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if session.config.getoption("--no-skips") and skipped:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tiers one after the other, and let no test hang."""
    items.sort(key=_place)
    for item in items:
        often = max(1, item.config.getoption("--inputs") / FEW_INPUTS) if item.get_closest_marker("fuzz") else 1
        item.add_marker(pytest.mark.timeout(TIME_LIMITS[_tier(item)] * often))


def _place(item: pytest.Item) -> tuple[int, int]:
    tier = _tier(item)
    return list(TIME_LIMITS).index(tier), -item.path.stat().st_size if tier == "integration" else 0


def _tier(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


@pytest.fixture(scope="session")
def broker() -> Iterator[RabbitMQ]:
    """One RabbitMQ node for the whole run; a test that stops it starts it again."""
    node = RabbitMQ()
    try:
        node.start()
        yield node
    finally:
        node.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """One Redis for the whole run; nobody stops it."""
    server = Redis()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def vhost(broker: RabbitMQ) -> Iterator[str]:
    """The name of a vhost that only this test knows."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    broker.add_vhost(name)
    yield name
    broker.delete_vhost(name)


@pytest.fixture
def node(tmp_path: Path, broker: RabbitMQ, vhost: str) -> Iterator[Node]:
    """An instance of this test's own, not started; what is left of it is ended afterwards."""
    with held_to_the_truth(Node(tmp_path, broker, vhost)) as node:
        yield node


@pytest.fixture
def project(tmp_path: Path, broker: RabbitMQ, vhost: str) -> Iterator[Project]:
    """An instance that hosts a project's own app, of which no code is there yet; not started, and ended afterwards."""
    with held_to_the_truth(Project(tmp_path, broker, vhost)) as project:
        yield project


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes `release` each release of Celery that was asked for."""
    if "release" in metafunc.fixturenames:
        metafunc.parametrize("release", metafunc.config.getoption("--celeries"))


@pytest.fixture
def interpreter(release: str) -> str:
    """Return that of a project with a release of Celery."""
    return str(celeries.of_project(release))


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """Return how many inputs a test marked fuzz is to try."""
    return int(request.config.getoption("--inputs"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Return what the inputs of such a test are chosen by."""
    return int(request.config.getoption("--seed"))


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """A function that takes a line for the end of the run: what was measured on the way."""
    return partial(record_property, "measured")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    lines = [line for report in reports for name, line in report.user_properties if name == "measured"]
    if lines:
        terminalreporter.section("measured on the way")
        terminalreporter.write("".join(f"{line}\n" for line in lines))
