"""A whole agent without Celery and without a broker: the real daemon and planner, and a stand-in for the user's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Agent:
    """One instance, called magic."""

    def __init__(self, folder: Path, *queues: str, **variables: str) -> None:
        """Write an env file for these queues; `variables` are handed on to the stand-in."""
        self.folder = folder
        self.log = folder / "log"
        interpreter = folder / "python"
        interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m tests.adapters.fake_python "$@"\n')
        interpreter.chmod(0o755)
        (folder / "etc").mkdir()
        lines = {
            "CELERY_AGENT_TASKS": ",".join(f"tasks:{queue.capitalize()}" for queue in queues),
            "CELERY_AGENT_PYTHON": str(interpreter),
            "PYTHONPATH": str(ROOT),
            "FAKE_QUEUES": ",".join(queues),
            **variables,
        }
        (folder / "etc" / "magic.env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it is asked."""
        return self.folder / "run" / "magic" / "control.sock"

    def environment(self) -> dict[str, str]:
        """Return what commands are run with."""
        folders = {"CELERY_AGENT_CONFIG_DIR": self.folder / "etc", "CELERY_AGENT_RUNTIME_DIR": self.folder / "run"}
        return {**os.environ, **{name: str(path) for name, path in folders.items()}}

    def start(self, program: str = "from agent.cli.main import main; import sys; sys.exit(main())") -> None:
        """Start it; `program` may be one that has the daemon do something wrong."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, "run", "magic"],
                cwd=ROOT,
                env=self.environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def status(self) -> dict[str, Any]:
        """Return what it says of itself."""
        done = subprocess.run(
            [sys.executable, "-m", "agent", "status", "magic", "--json"],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout, done.stderr
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    def queues(self) -> dict[str, dict[str, Any]]:
        """Return what it says of each queue."""
        return {queue["queue"]: queue for queue in self.status().get("queues", [])}

    def wait_until_consuming(self) -> dict[str, dict[str, Any]]:
        """Return the queues once each is consumed."""

        def consumed() -> dict[str, dict[str, Any]] | None:
            queues = self.queues()
            return queues if queues and all(queue["consuming"] for queue in queues.values()) else None

        found = wait_until(consumed, 60, "every queue is consumed")
        assert found is not None
        return found

    def is_running(self) -> bool:
        """Say whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
