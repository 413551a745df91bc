"""The dead-letter desk of an instance: lists its dead letters, sends them back to their queues, throws them away.

The work is done in the user's interpreter, by `agent.guest.answer.letterbox`: only there are the classes that say what a task's
arguments must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from agent.config.asking import Answer
from agent.config.discovery import Discovery
from agent.config.planner import template_of
from agent.config.validation import Configuration
from agent.errors import AgentError
from agent.guest.dead_letter import DeadLetter, Done
from agent.guest.secrets import redacted
from agent.guest.spec import TemplateSpec
from agent.guest.suggestion import suggestion
from agent.guest.values import dataclass
from agent.operate.inquiry import inquire, unfinished


class Action(StrEnum):
    """What to do with dead letters; `show` is `list` with headers and body."""

    LIST = "list"
    SHOW = "show"
    REPLAY = "replay"
    PURGE = "purge"


@dataclass(frozen=True, slots=True)
class Visit:
    """What was found and done.

    letters: what was listed or shown, sorted by the time of the last death.
    done: what was replayed or purged, in that order.
    problem: one line that says why not everything was done; empty where everything was.
    """

    letters: tuple[DeadLetter, ...]
    done: tuple[Done, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class Login:
    """The broker's user to connect as, instead of the node's own."""

    user: str
    password_file: str


def visit(
    configuration: Configuration,
    environment: Mapping[str, str],
    login: Login | None,
    action: Action,
    queue: str | None,
    ids: Sequence[str] | None,
    before: float | None = None,
) -> Visit:
    """List, show, replay or purge dead letters of an instance.

    environment: the agent's own, as tasks inherit it.
    queue, ids: what to act on; None for all. An id may be cut short. before: seconds since 1970; only on what died last before.

    Raises InvalidConfiguration where task classes can't be imported, AgentError where nothing was done.
    """
    template = template_of(configuration, environment)
    wanted = {"queue": queue, "ids": ids, "before": before}
    step = {"module": "letterbox", "action": action, **wanted, "login": login and _words(login)}
    discovery, answer = inquire(configuration, template, step)
    check_queue(configuration, discovery, queue)
    secrets = [] if login is None else [("RABBITMQ_PWD_FILE", login.password_file)]
    problem = redacted(_problem(answer), [*template.environment, *secrets])
    done = tuple(Done(**each) for each in answer.all("acted"))
    if problem and not done:
        raise AgentError(problem)
    return Visit(tuple(DeadLetter(**each) for each in answer.all("letter")), done, problem)


def with_login(configuration: Configuration, template: TemplateSpec, login: Login | None) -> TemplateSpec:
    """Return a template that connects as another user, where one is named; raises AgentError where an app names its own."""
    if login is None:
        return template
    if configuration.settings.app:
        raise AgentError(
            "--user and --password-file are for instances without CELERY_AGENT_APP: an app names its user itself."
        )
    own = {"RABBITMQ_USER": login.user, "RABBITMQ_PWD_FILE": login.password_file}
    return replace(template, environment=tuple(sorted({**dict(template.environment), **own}.items())))


def _words(login: Login) -> dict[str, str]:
    return {"user": login.user, "password": Path(login.password_file).read_text().rstrip("\n")}


def check_queue(configuration: Configuration, discovery: Discovery, queue: str | None) -> None:
    """Raise AgentError for a queue that an instance does not host."""
    hosted = sorted({*(task.queue for task in discovery.tasks), *(each.name for each in discovery.queues)})
    if queue is not None and queue not in hosted:
        advice = suggestion(queue, hosted, shown=repr) or f"Its queues are {', '.join(map(repr, hosted))}."
        raise AgentError(f"{configuration.file.path} hosts no queue {queue!r}. {advice}")


def _problem(answer: Answer) -> str:
    for unknown in answer.all("unknown"):
        return f"No dead letter has the id {unknown!r}; nothing was done. List them, and use --queue only for its own."
    for ambiguous in answer.all("ambiguous"):
        several = ", ".join(ambiguous["ids"][:3])
        return f"Several dead letters have ids that begin with {ambiguous['given']!r} ({several}); nothing was done."
    return unfinished(answer, "The desk", "what was not done stays in the dead-letter queue")
