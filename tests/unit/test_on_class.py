"""A task class that is called as if it were a task says what to write; tasks are sent as before."""

from __future__ import annotations

import inspect
from typing import Any

import celery
import pytest

from celery_delivery.testing import StubBroker
from celery_tasks.tasks import MagicCeleryTask
from celery_tasks.utils import create_worker_from

CALLS: dict[str, tuple[Any, ...]] = {
    "delay": (1, 2, 3),
    "delay without arguments": (),
    "apply_async": ((1, 2, 3),),
    "s": (1, 2, 3),
    "si": (1, 2, 3),
    "signature": ((1, 2, 3),),
}


@pytest.mark.parametrize("called", CALLS)
def test_a_class_that_is_called_as_a_task_says_what_to_write(called: str) -> None:
    create_worker_from(MagicCeleryTask)
    name = called.partition(" ")[0]
    with pytest.raises(
        TypeError, match=rf"^MagicCeleryTask is a class, .*: write MagicCeleryTask\(\)\.{name}\(…\), or "
    ):
        getattr(MagicCeleryTask, name)(*CALLS[called])


def test_tasks_are_sent_as_before_also_by_a_method_that_builds_upon_celery_s() -> None:
    noted = []

    class Noting(MagicCeleryTask):
        def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
            noted.append(args)
            return super().apply_async(args, kwargs, **options)

        def run(self, arg1: Any, arg2: Any, arg3: Any) -> Any:
            return arg1 + arg2 + arg3

    with StubBroker() as broker:
        app, task = create_worker_from(Noting)
        results = [
            task.delay(1, 2, 3),
            celery.Task.delay(task, 1, 2, 3),
            task.s(1, 2, 3).apply_async(),
            MagicCeleryTask.apply_async(task, (1, 2, 3)),
        ]
        broker.work(app)
        assert [result.get() for result in results] == [6] * 4
        assert len(noted) == 3
    assert list(inspect.signature(celery.Task.delay).parameters) == ["self", "args", "kwargs"]
