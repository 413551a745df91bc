"""What those commands share that work on the broker for an operator."""

from __future__ import annotations

import argparse
from pathlib import Path

from agent.config.envfile import read_env_file
from agent.config.instances import Folders
from agent.config.validation import Configuration, read_settings
from agent.errors import AgentError
from agent.operate.desk import Login


def configuration_of(places: Folders, instance: str) -> Configuration:
    """Return what an instance's env file says; raises NoSuchInstance, or InvalidConfiguration."""
    if not places.is_configured(instance):
        raise places.unknown(instance)
    return read_settings(read_env_file(places.env_file(instance)))


def password_in(path: Path) -> str:
    """Return the password in a file that --password-file names; raises AgentError where there is none."""
    try:
        password = path.read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise AgentError(f"--password-file names {path}, which can't be read: {reason}.") from error
    if not password:
        raise AgentError(f"--password-file names {path}, which is empty: RabbitMQ lets nobody in without a password.")
    return password


def login_of(options: argparse.Namespace) -> Login | None:
    """Return who --user and --password-file name, None where nobody; raises AgentError for one without the other."""
    if options.user is None and options.password_file is None:
        return None
    if options.user is None or options.password_file is None:
        raise AgentError("--user and --password-file go together: the broker's user, and the file with its password.")
    path = Path(options.password_file).absolute()
    password_in(path)
    return Login(options.user, str(path))
