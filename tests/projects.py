"""Projects with an app of their own under an agent: any one, and that of `examples/existing`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.node import Node
from tests.rabbitmq import RabbitMQ

SHOP = Path(__file__).parents[1] / "examples" / "existing"


class Project(Node):
    """One instance that hosts a project's own app; its code lies in `code`, unless it says otherwise."""

    app = "proj:app"

    def __init__(self, folder: Path, broker: RabbitMQ, vhost: str, instance: str = "magic") -> None:
        """Prepare folders; nothing is started."""
        super().__init__(folder, broker, vhost, instance)
        self.url = f"amqp://guest:guest@{broker.host}:{broker.port}/{vhost}"
        self.variables = {"BROKER": self.url}

    def configure(self, *queues: str, **settings: str) -> None:
        """Write the env file: the app, these of its queues or all, and settings without the prefix CELERY_AGENT_."""
        lines = {
            **({"CELERY_AGENT_APP": self.app} if self.app else {}),
            "CELERY_AGENT_PATH": str(self.code),
            **({"CELERY_AGENT_CONSUME": ",".join(queues)} if queues else {}),
            **self.its_interpreter(),
            **{f"CELERY_AGENT_{name}": value for name, value in settings.items()},
            **self.variables,
        }
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def python(self, code: str) -> Any:
        """Run code beside the project's own, in a process of its own; return what it assigns to `value`."""
        return value_of(self._run("-c", script_of(code)))

    def _run(self, *arguments: str) -> str:
        return output_of([self.interpreter, *arguments], self.code, self.variables)


class Shop(Project):
    """One instance that hosts the shop's own app, with a database of its own."""

    app = "shop.celery:app"

    def __init__(
        self, folder: Path, broker: RabbitMQ, vhost: str, results: str, interpreter: str = sys.executable
    ) -> None:
        """Prepare folders and the database; nothing is started.

        results: the URL of a Redis for results.
        """
        super().__init__(folder, broker, vhost, "shop")
        self.interpreter = interpreter
        self.code = SHOP
        self.variables = {
            "SHOP_BROKER": self.url,
            "SHOP_RESULTS": results,
            "SHOP_DATABASE": str(folder / "shop.sqlite3"),
        }
        self._run("manage.py", "migrate", "--run-syncdb", "--verbosity", "0")

    def python(self, code: str) -> Any:
        """Do the same as a view of the site would."""
        return value_of(self._run("manage.py", "shell", "--verbosity", "0", "--command", script_of(code)))

    def words(self) -> list[str]:
        """Return what stands in the shop's journal."""
        found: list[str] = self.python(
            "from shop.orders.models import Journal\nvalue = list(Journal.objects.values_list('word', flat=True))"
        )
        return found


def output_of(command: Sequence[str], folder: Path, variables: Mapping[str, str], timeout: float = 120) -> str:
    """Run a program in a folder to its end, with these variables besides; return what it prints."""
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def script_of(code: str) -> str:
    """Return a script that runs code and prints what it assigns to `value`."""
    return f"import json\n{code}\nprint('value', json.dumps(value))"


def value_of(printed: str) -> Any:
    """Return what such a script has printed."""
    return json.loads(printed.rpartition("value ")[2])
