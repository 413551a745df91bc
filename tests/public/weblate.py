"""Weblate, a translation platform that nobody here wrote: as its documentation sets it up, with servers of its own.

Its documentation runs it by `celery multi` with a worker for each of five queues; `QUEUES` is what its
examples/celery-weblate.conf says of them. The environment that it is installed in is made by `make test-public`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.projects import Project, output_of, script_of, value_of
from tests.public.postgres import Postgres
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until

ENVIRONMENT = Path(__file__).parents[2] / ".cache" / "public"
PYTHON = ENVIRONMENT / "bin" / "python"
APP = "weblate.utils"
QUEUES = {"celery": (2, 4), "notify": (2, 10), "memory": (2, 10), "translate": (4, 4), "backup": (1, 2)}
SETTINGS = "weblate_site"  # the module
# What is changed in a copy of weblate/settings_example.py, as its documentation asks for it.
CHANGES = {
    'SITE_DOMAIN = ""': 'SITE_DOMAIN = "weblate.example"',
    "ENABLE_HTTPS = False": "ENABLE_HTTPS = True",
    "DEBUG = True": "DEBUG = False",
    'SECRET_KEY = ""': 'SECRET_KEY = "of a test, which nobody has to guess: 0123456789 abcdefghij"',
    '"HOST": "127.0.0.1"': '"HOST": os.environ["WEBLATE_DATABASE"]',
    '"USER": "weblate"': '"USER": os.environ["WEBLATE_USER"]',
    'DATA_DIR = "/home/weblate/data"': 'DATA_DIR = os.environ["WEBLATE_DATA"]',
    '"redis://127.0.0.1:6379/1"': 'os.environ["WEBLATE_CACHE"]',
    'CELERY_BROKER_URL = "redis://localhost:6379"': 'CELERY_BROKER_URL = os.environ["WEBLATE_BROKER"]',
    "CELERY_RESULT_BACKEND: str | None = CELERY_BROKER_URL": 'CELERY_RESULT_BACKEND = os.environ["WEBLATE_CACHE"]',
}
MAIL = """
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DATA_DIR + "/mail"
"""


class Site:
    """A site: its database, its cache, its data and its settings."""

    def __init__(self, folder: Path, cache: Redis) -> None:
        """Make the folders and the database, whose tables are those of a new site.

        folder: a new one, which all users may pass through.
        """
        self.folder = folder
        self.data = folder / "data"
        self.code = folder / "code"
        self.code.mkdir()
        self.data.mkdir()
        (self.code / f"{SETTINGS}.py").write_text(_settings())
        self._postgres = Postgres(folder / "database")
        self.variables = {
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "WEBLATE_BROKER": cache.url,
            "WEBLATE_CACHE": cache.url,
            "WEBLATE_DATA": str(self.data),
            "WEBLATE_DATABASE": str(self._postgres.folder),
            "WEBLATE_USER": self._postgres.user,
            # Its tasks start git and pg_dump, and look for them as any program does.
            "PATH": f"{ENVIRONMENT / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        }
        self._postgres.start("weblate")
        self.command("migrate", "--verbosity", "0")

    def command(self, *arguments: str, **variables: str) -> str:
        """Run a command of Weblate's to its end; return what it prints."""
        command = [str(ENVIRONMENT / "bin" / "weblate"), *arguments]
        return output_of(
            command, self.folder, {**self.variables, "PYTHONPATH": str(self.code), **variables}, timeout=900
        )

    def python(self, code: str, **variables: str) -> Any:
        """Do what a view of the site would; return what the code assigns to `value`."""
        return value_of(self.command("shell", "--verbosity", "0", "--command", script_of(code), **variables))

    def close(self) -> None:
        """End its database server."""
        self._postgres.close()


class Weblate(Project):
    """The instance that hosts a site's workers, on one of two brokers."""

    app = APP

    def __init__(self, folder: Path, site: Site, broker: RabbitMQ, vhost: str) -> None:
        """Prepare folders; nothing is started."""
        super().__init__(folder, broker, vhost, "weblate")
        self.site = site
        self.code = site.code
        self.variables = dict(site.variables)

    def configure(self, *queues: str, **settings: str) -> None:
        """Write the env file: as Weblate's own example has its workers, and settings without the prefix CELERY_AGENT_."""
        super().configure(*queues, **{**options(QUEUES), "PYTHON": str(PYTHON), **settings})

    def python(self, code: str) -> Any:
        """Do what a view of the site would, with the broker of this instance."""
        return self.site.python(code, **self.variables)

    def wait_until_consuming(self) -> None:
        """Return when every queue has its consumer: five workers import it at once."""
        wait_until(self._is_consuming, 300, f"all queues are consumed from, see {self.log}")

    def _is_consuming(self) -> bool:
        return self.run("status", self.instance, "--strict").returncode == 0


def options(queues: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Return the settings of queues that have a concurrency and a prefetch, without the prefix CELERY_AGENT_."""
    found = {"DEFAULTS__START_TIMEOUT": "300", "IMPORT_TIMEOUT": "240"}  # this machine may be busy
    for queue, (concurrency, prefetch) in queues.items():
        found[f"QUEUES__{queue}__CONCURRENCY"] = str(concurrency)
        found[f"QUEUES__{queue}__PREFETCH"] = str(prefetch)
    return found


def _settings() -> str:
    (example,) = ENVIRONMENT.glob("lib/python3*/site-packages/weblate/settings_example.py")
    text = example.read_text()
    for former, present in CHANGES.items():
        assert text.count(former) == 1, f"{example} has {former!r} {text.count(former)} times"
        text = text.replace(former, present)
    return text + MAIL
