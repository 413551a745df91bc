"""The project of `examples/existing` under an agent: an instance called shop, and what is seen of it from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.node import Node
from tests.rabbitmq import RabbitMQ

PROJECT = Path(__file__).parents[1] / "examples" / "existing"


class Shop(Node):
    """One instance that hosts the shop's own app, with a database of its own."""

    def __init__(self, folder: Path, broker: RabbitMQ, vhost: str, results: str) -> None:
        """Prepare folders and the database; nothing is started.

        results: the URL of a Redis for results.
        """
        super().__init__(folder, broker, vhost, "shop")
        self.database = folder / "shop.sqlite3"
        self.variables = {
            "SHOP_BROKER": f"amqp://guest:guest@{broker.host}:{broker.port}/{vhost}",
            "SHOP_RESULTS": results,
            "SHOP_DATABASE": str(self.database),
        }
        self.project = PROJECT
        self.manage("migrate", "--run-syncdb", "--verbosity", "0")

    def configure(self, *queues: str, **settings: str) -> None:
        """Write the env file: the shop's app, these of its queues or all, and settings without the prefix CELERY_AGENT_."""
        lines = {
            "CELERY_AGENT_APP": "shop.celery:app",
            "CELERY_AGENT_PATH": str(self.project),
            **({"CELERY_AGENT_CONSUME": ",".join(queues)} if queues else {}),
            **{f"CELERY_AGENT_{name}": value for name, value in settings.items()},
            **self.variables,
        }
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def manage(self, *arguments: str) -> str:
        """Run a command of Django's; return what it prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            env={**os.environ, **self.variables},
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str) -> Any:
        """Run code in the shop's own process, as a view of the site would; return what it assigns to `value`."""
        script = f"import json\n{code}\nprint('value', json.dumps(value))"
        printed = self.manage("shell", "--verbosity", "0", "--command", script)
        return json.loads(printed.rpartition("value ")[2])

    def words(self) -> list[str]:
        """Return what stands in the shop's journal."""
        found: list[str] = self.python(
            "from shop.orders.models import Journal\nvalue = list(Journal.objects.values_list('word', flat=True))"
        )
        return found
