"""Asks the user's interpreter what only code there can tell, about an instance whose configuration is valid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.config.asking import STEP_TIMEOUT, Answer, ask
from agent.config.discovery import Discovery, discovery_of
from agent.config.planner import problems_of
from agent.config.problems import InvalidConfiguration
from agent.config.validation import Configuration
from agent.guest.spec import TemplateSpec
from agent.operate.broker_faults import unreachable


def inquire(configuration: Configuration, template: TemplateSpec, step: Mapping[str, Any]) -> tuple[Discovery, Answer]:
    """Import an instance's tasks, then take a step there; raises InvalidConfiguration where they can't be imported."""
    settings = configuration.settings
    answer = ask(template, settings.tasks, settings.import_timeout, step, settings.consume)
    discovery = discovery_of(answer)
    if discovery.obstacles:
        raise InvalidConfiguration(problems_of(configuration, template, discovery.obstacles))
    return discovery, answer


def unfinished(answer: Answer, who: str, advice: str) -> str:
    """Return why a step on the broker went no further, "" where it came to its end.

    who: takes the step. advice: what has become of the rest, or what to do, where the broker did not answer.
    """
    for failed in answer.all("failed"):
        if failed["fault"]:
            return unreachable(failed["broker"], failed["fault"], " ".join(failed["text"].split()))
        return str(failed["text"])
    if not answer.in_time:
        return f"The broker did not answer for {STEP_TIMEOUT:g} s; {advice}."
    return "" if answer.has("finished") else f"{who}'s process ended early: {answer.printed.strip()[-200:]}"
