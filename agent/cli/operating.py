"""What those commands share that work on the broker for an operator."""

from __future__ import annotations

from pathlib import Path

from agent.config.envfile import read_env_file
from agent.config.instances import Folders
from agent.config.validation import Configuration, read_settings
from agent.errors import AgentError


def configuration_of(places: Folders, instance: str) -> Configuration:
    """Return what an instance's env file says; raises NoSuchInstance, or InvalidConfiguration."""
    if not places.is_configured(instance):
        raise places.unknown(instance)
    return read_settings(read_env_file(places.env_file(instance)))


def password_in(path: Path) -> str:
    """Return the password in a file that --password-file names; raises AgentError where it can't be read."""
    try:
        return path.read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise AgentError(f"--password-file names {path}, which can't be read: {reason}.") from error
