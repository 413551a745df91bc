"""What a workflow is made of, looked at before any of it is sent: its tasks have queues and fit, its chords can be counted.

fault of stock Celery 5.7                                     seen as                                  here
------------------------------------------------------------  ---------------------------------------  -----------------
a later step with a name that nobody has, or with wrong       a dead letter, when the step before it   UnknownTask,
arguments, is sent                                            is done                                  TypeError
a group is sent task by task: what is wrong with one is       the others are sent                      nothing is sent
found when its turn comes
"""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from celery import canvas

from celery_delivery import internals, mending
from celery_delivery.contract.values import need_plain_result
from celery_delivery.sending.routing import OF_ONE_TASK, is_passed_on, unknown

_looked: ContextVar[bool] = ContextVar("looked", default=False)
_AN_ID = "00000000-0000-0000-0000-000000000000"
_AFTER = ("link", "link_error", "chain", "chord")  # options with signatures that are sent when a task is done


def look_behind(app: Any, options: dict[str, Any]) -> None:
    """Raise what `look` does for the signatures among a task's options."""
    if not (_looked.get() or is_passed_on()):
        _look_behind(app, options)


def look_at_groups() -> None:
    """Have groups and chords of our apps looked at before their first task is sent, in this process from now on."""
    for kind in (canvas.group, canvas.chord):
        if mending.applies(internals.client.WORKFLOWS) and not hasattr(kind.apply_async, "looks"):
            kind.apply_async = _looking(kind.apply_async)


def look(app: Any, signature: Any, given: int | None) -> None:
    """Raise UnknownTask, TypeError, PriorityError or WorkflowError for a signature that can't be sent, or what follows it.

    given: how many arguments come before its own, None where they are not known.
    """
    options, inner = signature.get("options") or {}, signature.get("kwargs") or {}
    _look_behind(app, options)
    match signature.get("subtask_type"):
        case "chain":
            steps = list(inner["tasks"])
            for place, step in enumerate(steps):
                look(app, step, given if place == 0 else 1)
                if place + 1 < len(steps) and step.get("subtask_type") == "group":
                    app.backend.ensure_chords_allowed()
        case "group":
            _look_at_all(app, inner["tasks"], given)
        case "chord":
            app.backend.ensure_chords_allowed()
            header = inner["header"]
            _look_at_all(app, [header] if isinstance(header, dict) else header, given)
            if inner.get("body") is not None:  # else it is given with the call
                look(app, inner["body"], 1)
        case _ if signature["task"] in OF_ONE_TASK:
            need_plain_result(_task_of(app, inner["task"]))
            look(app, inner["task"], None)
        case _:
            _look_at_task(app, signature, options, given)


def _look_at_all(app: Any, signatures: Iterable[Any], given: int | None) -> None:
    for each in signatures:
        look(app, each, given)


def _look_at_task(app: Any, signature: Any, options: dict[str, Any], given: int | None) -> None:
    task = _task_of(app, signature)
    if task is None:
        if not (options.get("queue") or options.get("exchange")):
            raise unknown(signature["task"], app.names)
        return
    if "priority" in options or task.priority is not None:
        _look_at_priority(app, options.get("priority", task.priority), task.name)
    check: Callable[..., None] | None = getattr(task, "__header__", None)
    if check is None or given is None or not task.typing:
        return
    args, kwargs, before = signature.get("args") or (), signature.get("kwargs") or {}, given
    if signature.get("immutable"):
        before = 0
    check(*[None] * before, *args, **kwargs)
    if hasattr(task, "values"):
        task.values.encoded(args, kwargs, before)


def _task_of(app: Any, signature: Any) -> Any:
    return getattr(signature, "_type", None) or app.task_of(signature["task"])


def _look_at_priority(app: Any, priority: Any, name: str) -> None:
    check: Callable[..., None] | None = getattr(app.amqp, "check_priority", None)
    if priority is not None and check is not None:
        check(priority, name)


def _look_behind(app: Any, options: dict[str, Any]) -> None:
    for name in _AFTER:
        found = options.get(name)
        if found:
            every = [found] if isinstance(found, dict) else found
            _look_at_all(app, every, 1)
            if name == "link_error":
                _look_at_errbacks(app, every)


def _look_at_errbacks(app: Any, signatures: Iterable[Any]) -> None:
    """Raise TypeError for a task that can't take the id of the task that failed, which comes before its own arguments."""
    for each in signatures:
        task = _task_of(app, each)
        if hasattr(task, "values") and not each.get("immutable"):
            try:
                task.values.decoded([_AN_ID], {})
            except TypeError as error:
                raise TypeError(f"{error}: link_error gives it the id of the task that failed. Use .si(…)") from None


def _looking(stock: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stock)
    def apply_async(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        app = self.app
        is_ours = hasattr(app, "task_of") and mending.applies(internals.client.WORKFLOWS)
        if not is_ours or _looked.get() or is_passed_on():
            return stock(self, args, kwargs, **options)
        named = dict(kwargs or {})
        _look_behind(app, {**options, "chord": named.pop("body", None) or options.get("chord")})
        look(app, self, None if named else len(args or ()))
        token = _looked.set(True)
        try:
            return stock(self, args, kwargs, **options)
        finally:
            _looked.reset(token)

    apply_async.looks = True  # type: ignore[attr-defined]
    return apply_async
