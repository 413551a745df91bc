"""Contracts and implementations of a test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import celery

from celery_delivery.contract import fit
from celery_delivery.contract.contracts import Contracts
from celery_tasks import tasks

CONTRACTS = Contracts("celery_tasks")


def check(task: type[celery.Task]) -> None:
    fit.check_implementation(task, CONTRACTS)


def run_of(parameters: str) -> Callable[..., Any]:
    """Return a `run` with these parameters."""
    code = f"def run({', '.join(filter(None, ['self', parameters]))}): return 'done'"
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(code, namespace)
    run: Callable[..., Any] = namespace["run"]
    return run


def contract(parameters: str, name: str = "greet") -> type[celery.Task]:
    """Return a contract of this test's own: `celery_tasks.tasks` would define one just so."""
    run = run_of(parameters)
    run.__module__ = tasks.__name__
    return type("Greet", (celery.Task,), {"name": name, "run": run, "__module__": tasks.__name__})


def implementation(of: type[celery.Task], parameters: str, **attributes: object) -> type[celery.Task]:
    return type("ActualGreet", (of,), {"run": run_of(parameters), "__module__": __name__, **attributes})
