"""Revokes tasks for an operator; the work is done by `agent.guest.answer.revoking`, beside user code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.config.hosting import workers
from agent.config.planner import template_of
from agent.config.settings import Pool
from agent.config.validation import Configuration
from agent.errors import AgentError
from agent.guest.secrets import redacted
from agent.guest.values import dataclass
from agent.operate.desk import Login, with_login
from agent.operate.inquiry import inquire, unfinished


@dataclass(frozen=True, slots=True)
class Revoked:
    """What came of it.

    how: who hears of it, for people.
    unended: queues of the instance whose pool can't end a task that runs, where one was to be ended.
    """

    how: tuple[str, ...]
    unended: tuple[str, ...]


def revoke(
    configuration: Configuration,
    environment: Mapping[str, str],
    login: Login | None,
    ids: Sequence[str],
    signal: str | None,
) -> Revoked:
    """Revoke tasks by their ids; signal: the name of that for processes which run some of them, None where those go on.

    Raises InvalidConfiguration where the instance's code can't be imported, AgentError where the broker has not taken it.
    """
    template = with_login(configuration, template_of(configuration, environment), login)
    step = {"module": "revoking", "ids": list(ids), "signal": signal}
    discovery, answer = inquire(configuration, template, step)
    problem = unfinished(answer, "The command", "give it again: a revocation that is there twice does no harm")
    if problem:
        raise AgentError(f"Not revoked: {redacted(problem, template.environment)}")
    plan = workers(configuration, discovery.tasks, discovery.queues)
    unended = tuple(each.queue for each in plan if signal and each.pool != Pool.PREFORK)
    return Revoked(tuple(dict.fromkeys(answer.all("revoked"))), unended)
