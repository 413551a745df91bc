"""Where an instance's files are, and what it may be called.

An instance is a name: `celery-agent@magic` is `magic`, configured by `magic.env` and reached through the folder `magic`
below the runtime folder. Both folders come from the process's environment, because they say where to look for the rest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from agent.errors import ConfigurationError, NoSuchInstance
from agent.guest.suggestion import suggestion
from agent.guest.values import dataclass

CONFIG_VARIABLE = "CELERY_AGENT_CONFIG_DIR"
RUNTIME_VARIABLE = "CELERY_AGENT_RUNTIME_DIR"
OPERATORS_VARIABLE = "CELERY_AGENT_OPERATORS"  # the group that may ask each instance; the unit sets it
FOLLOW_VARIABLE = "CELERY_AGENT_FOLLOW_CODE"  # set where a reload takes up changed code; `agent run --dev` sets it
DEFAULT_CONFIG = "/etc/celery-agent"
DEFAULT_RUNTIME = "/run/celery-agent"
SUFFIX = ".env"

# What systemd takes as an instance name without escapes, a file name, and a word in a log line. 64 characters leave
# room for the rest of a socket's path, of which Linux allows 107 bytes.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Folders:
    """The two folders that all instances of a node share.

    config: env files, one per instance.
    runtime: a folder per running instance, with its control socket.
    """

    config: Path
    runtime: Path

    def env_file(self, instance: str) -> Path:
        """Return the place of an instance's env file; raises ConfigurationError for what is no instance name."""
        return self.config / (checked_name(instance) + SUFFIX)

    def runtime_folder(self, instance: str) -> Path:
        """Return the place of an instance's runtime folder; raises ConfigurationError for what is no instance name."""
        return self.runtime / checked_name(instance)

    def configured(self) -> tuple[str, ...]:
        """Return the instances that have an env file, sorted; none where the folder is missing or can't be read."""
        return _names(self.config, SUFFIX)

    def seen(self) -> tuple[str, ...]:
        """Return the instances that have a runtime folder, sorted: they run, or did and were killed."""
        return _names(self.runtime, "")

    def known(self) -> tuple[str, ...]:
        """Return the instances that are configured or seen, sorted."""
        return tuple(sorted({*self.configured(), *self.seen()}))

    def is_configured(self, instance: str) -> bool:
        """Say whether an instance has an env file; its own user, who may not see which others there are, can ask that."""
        return os.path.exists(self.env_file(instance))

    def unknown(self, instance: str) -> NoSuchInstance:
        """Return the error for an instance that has neither an env file nor an agent."""
        return NoSuchInstance(
            f"There is no instance {instance!r}: no env file {self.env_file(instance)}, no agent of that name. "
            + _others(instance, self.known())
        )


def folders(environment: Mapping[str, str]) -> Folders:
    """Return the folders that a process's environment names; raises ConfigurationError for one that isn't absolute."""
    return Folders(
        config=_folder(environment, CONFIG_VARIABLE, DEFAULT_CONFIG),
        runtime=_folder(environment, RUNTIME_VARIABLE, DEFAULT_RUNTIME),
    )


def checked_name(instance: str) -> str:
    """Return a name that an instance can have; raises ConfigurationError for any other."""
    if not _NAME.fullmatch(instance):
        raise ConfigurationError(
            f"{instance!r} is no instance name: use 1 to 64 letters, digits, '_', '-' and '.', "
            "with a letter, digit or '_' first."
        )
    return instance


def _folder(environment: Mapping[str, str], variable: str, default: str) -> Path:
    text = environment.get(variable) or default
    if not os.path.isabs(text):
        raise ConfigurationError(f"{variable} is {text!r} in the environment, but must be an absolute path.")
    return Path(text)


def _names(folder: Path, suffix: str) -> tuple[str, ...]:
    try:
        entries = os.listdir(folder)
    except OSError:
        return ()
    names = (entry.removesuffix(suffix) for entry in entries if entry.endswith(suffix))
    return tuple(sorted(name for name in names if _NAME.fullmatch(name)))


def _others(instance: str, others: tuple[str, ...]) -> str:
    if not others:
        return "No instance is configured here."
    return suggestion(instance, others, shown=repr) or f"Configured here: {', '.join(others)}."
