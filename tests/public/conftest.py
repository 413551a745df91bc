"""One site for all tests here: its tables take a minute to make."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.public.weblate import Site, Weblate
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis


@pytest.fixture(scope="session")
def site(redis_server: Redis) -> Iterator[Site]:
    """A new site of Weblate's."""
    with tempfile.TemporaryDirectory(prefix="celery-agent-public-") as folder:
        Path(folder).chmod(0o711)  # the database server is another user's
        site = Site(Path(folder), redis_server)
        try:
            yield site
        finally:
            site.close()


@pytest.fixture
def weblate(tmp_path: Path, site: Site, broker: RabbitMQ, vhost: str) -> Iterator[Weblate]:
    """The site's instance, not started; what is left of it is ended afterwards."""
    weblate = Weblate(tmp_path, site, broker, vhost)
    yield weblate
    weblate.close()
    faults = (
        [line for line in weblate.log.read_text().splitlines() if "agent-fault" in line] if weblate.log.exists() else []
    )
    assert faults == [], "the agent did something wrong itself"
