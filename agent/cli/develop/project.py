"""What is to be known of a project before its agent runs: where its code is, and what its environment lacks in development."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

from agent.config.envfile import read_env_file
from agent.config.instances import DEFAULT_RUNTIME, RUNTIME_VARIABLE
from agent.config.validation import read_settings
from agent.guest.values import dataclass

BROKER = "CELERY_TASKS_BROKER"
EMBEDDED = "embedded"
_BROKERS = (BROKER, "CELERY_BROKER_URL")
_RABBITMQ = "RABBITMQ_"


@dataclass(frozen=True, slots=True)
class Project:
    """Folders to look for changes in, and variables that the agent gets beside those of this process."""

    folders: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def greeting(self, instance: str, env_file: Path, files: int) -> Iterator[str]:
        """Yield what is good to know at the start."""
        yield f"{instance}, by {env_file}"
        if BROKER in self.variables:
            yield f"embedded broker, which promises nothing; for producers: export {BROKER}={EMBEDDED}"
        if RUNTIME_VARIABLE in self.variables:
            yield f"for agent status {instance}: export {RUNTIME_VARIABLE}={self.variables[RUNTIME_VARIABLE]}"
        where = ", ".join(map(str, self.folders)) or "no folder: CELERY_AGENT_PATH names none"
        yield f"looking for changes of {files} files in {where}; Ctrl-C stops"


def project_of(env_file: Path, environment: Mapping[str, str]) -> Project:
    """Return what an env file says of a project; raises AgentError where it can't be read."""
    configuration = read_settings(read_env_file(env_file))
    known = {**environment, **{each.name: each.value for each in configuration.file.for_tasks}}
    path = [*configuration.settings.path, *known.get("PYTHONPATH", "").split(os.pathsep)]
    variables = {}
    if configuration.settings.tasks and not any(name in _BROKERS or name.startswith(_RABBITMQ) for name in known):
        variables[BROKER] = EMBEDDED
    runtime = _runtime(environment)
    if runtime is not None:
        variables[RUNTIME_VARIABLE] = str(runtime)
    return Project(tuple(dict.fromkeys(Path(each) for each in path if os.path.isabs(each))), variables)


def _runtime(environment: Mapping[str, str]) -> Path | None:
    """Return the runtime folder of a user who may not use the node's, None where that can be used or another is named."""
    if environment.get(RUNTIME_VARIABLE) or os.access(_nearest(Path(DEFAULT_RUNTIME)), os.W_OK):
        return None
    own = environment.get("XDG_RUNTIME_DIR", "")
    return (
        Path(own) / "celery-agent"
        if os.path.isdir(own)
        else Path(tempfile.gettempdir()) / f"celery-agent-{os.geteuid()}"
    )


def _nearest(folder: Path) -> Path:
    return folder if folder.exists() else _nearest(folder.parent)
