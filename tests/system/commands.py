"""Whatever runs commands as root somewhere else: a booted host, or a virtual machine."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod

COMMAND_TIMEOUT = 120.0  # seconds

_WRITE = """
mkdir -p "$(dirname "$1")"
cat >"$1.new"
chmod "$2" "$1.new"
chown "$3" "$1.new"
mv "$1.new" "$1"
"""


class Commands(ABC):
    """A place to run commands at."""

    name: str

    @abstractmethod
    def attempt(
        self, *command: str, text: str = "", timeout: float = COMMAND_TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there with `text` on its standard input."""

    def run(self, *command: str, text: str = "", timeout: float = COMMAND_TIMEOUT) -> str:
        """Run a command as `attempt` does; return what it prints. Fails where the command does."""
        done = self.attempt(*command, text=text, timeout=timeout)
        assert done.returncode == 0, f"{self.name}: {' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
        """Write a file there; folders above it are made."""
        self.run("sh", "-euc", _WRITE, "sh", path, f"{mode:o}", f"{owner}:{group}", text=text)
