"""Asks the user's interpreter what only code there can tell, about an instance whose configuration is valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.config.asking import Answer, ask
from agent.config.discovery import Discovery, discovery_of
from agent.config.planner import problems_of
from agent.config.problems import InvalidConfiguration
from agent.config.validation import Configuration
from agent.guest.spec import TemplateSpec


def inquire(configuration: Configuration, template: TemplateSpec, step: Mapping[str, Any]) -> tuple[Discovery, Answer]:
    """Import an instance's tasks, then take a step there; raises InvalidConfiguration where they can't be imported."""
    settings = configuration.settings
    answer = ask(template, settings.tasks, settings.import_timeout, step, settings.consume)
    discovery = discovery_of(answer)
    if discovery.obstacles:
        raise InvalidConfiguration(problems_of(configuration, template, discovery.obstacles))
    return discovery, answer
