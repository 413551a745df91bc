"""Arguments and results of a contract whose `run` says by annotations what they are: checked when sent, and made again.

    where                             what becomes of them
    --------------------------------  ----------------------------------------------------------------------------------
    .delay(), .apply_async()          what does not fit is a TypeError that names the argument; nothing is sent
    .s(), .si(), .signature()         what they hold goes as JSON; looked at when it is sent
    a worker, before `run`            what does not fit is the task's failure, and is not retried
    a worker, after `run`             the same, for what it returns
    .get()                            the value that the annotation says

A task that is called, or run by `.apply()`, gets and returns the values themselves.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, Signature
from typing import Any, get_type_hints

import celery
from celery.result import AsyncResult
from celery.utils.log import get_logger

from celery_delivery.contract.annotations import plain, shape_of
from celery_delivery.contract.shapes import Shape

RETURNED = "return"
_PLACED = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_STARRED = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

Given = tuple[list[Any], dict[str, Any]]  # arguments, and named ones

_log = get_logger(__name__)


class Values:
    """What the `run` of one contract takes and returns, where its annotations say more than JSON knows."""

    def __init__(self, name: str, shapes: Mapping[str, Shape], signature: Signature) -> None:
        """Take the shapes of parameters by their names, and that of what is returned."""
        self.name = name
        shapes = dict(shapes)
        self.returned = shapes.pop(RETURNED, None)
        kinds = {each.name: each.kind for each in signature.parameters.values()}
        starred = {kind: shapes.pop(name, None) for name, kind in kinds.items() if kind in _STARRED}
        self._other_places = starred.get(Parameter.VAR_POSITIONAL)
        self._other_names = starred.get(Parameter.VAR_KEYWORD)
        self._by_name = {name: shapes.get(name) for name, kind in kinds.items() if kind not in _STARRED}
        self._places = [name for name, kind in kinds.items() if kind in _PLACED]

    def encoded(self, args: Sequence[Any], kwargs: Mapping[str, Any], first: int = 0) -> Given:
        """Return arguments as they go over the wire; raises TypeError. first: how many come before these."""
        return self._each(lambda shape, value, where: shape.encode(value, where), args, kwargs, first)

    def decoded(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Given:
        """Return arguments as `run` takes them; raises TypeError."""
        return self._each(lambda shape, value, where: shape.decode(value, where), args, kwargs, 0)

    def _each(
        self, make: Callable[[Shape, Any, str], Any], args: Sequence[Any], kwargs: Mapping[str, Any], first: int
    ) -> Given:
        def made(shape: Shape | None, value: Any, name: Any) -> Any:
            return value if shape is None else make(shape, value, f"{self.name}: argument {name!r}")

        given = []
        for place, value in enumerate(args, first):
            if place < len(self._places):
                name = self._places[place]
                given.append(made(self._by_name.get(name), value, name))
            else:
                given.append(made(self._other_places, value, place + 1))
        named = {name: made(self._by_name.get(name, self._other_names), value, name) for name, value in kwargs.items()}
        return given, named


def need_plain_result(task: Any) -> None:
    """Raise TypeError where a task returns more than JSON knows, which Celery's map, starmap and chunks can't bring back.

    They would fail when all of it has been done. task: None where it is not known.
    """
    values = getattr(task, "values", None)
    if values is not None and values.returned is not None:
        raise TypeError(
            f"{values.name}: what it returns can't come back by map, starmap or chunks, as JSON does not know it. Take a group"
        )


def keep(
    task: celery.Task,
    contract: type[celery.Task],
    signature: Callable[[type[celery.Task]], Signature],
    is_passed_on: Callable[[], bool],
) -> None:
    """Have a task's arguments and results be what its contract's annotations say; nothing is done where JSON knows them.

    signature: returns that of a class's `run`. is_passed_on: says of what is sent whether it came by a message.
    """
    if not getattr(contract.run, "__annotations__", None):
        return
    shapes = shapes_of(contract)
    if not shapes:  # then a worker need not look at the signature, and keeps sharing the memory of `inspect`
        return
    values = Values(contract.name, shapes, signature(contract))
    task.values = values
    task.run = _running(task, values, task.run)
    task.apply_async = _sending(values, task.apply_async, is_passed_on)
    task.signature = task.subtask = _signing(task.signature)
    if values.returned is not None:
        task.AsyncResult = _telling(task, values)


def _running(task: celery.Task, values: Values, run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def call(*args: Any, **kwargs: Any) -> Any:
        given, named = values.decoded(args, kwargs)
        value = run(*given, **named)
        if values.returned is None or task.request.called_directly or task.request.is_eager:
            return value
        return values.returned.encode(value, f"{values.name}: what it returns")

    return call


def _sending(values: Values, stock: Callable[..., Any], is_passed_on: Callable[[], bool]) -> Callable[..., Any]:
    @wraps(stock)
    def apply_async(args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        args, kwargs = args or (), kwargs or {}
        given = (plain(tuple(args)), plain(dict(kwargs))) if is_passed_on() else values.encoded(args, kwargs)
        return stock(*given, *more, **options)

    return apply_async


def _signing(stock: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stock)
    def signature(args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        return stock(args and tuple(map(plain, args)), kwargs and plain(dict(kwargs)), *more, **options)

    return signature


def _telling(task: celery.Task, values: Values) -> Callable[..., AsyncResult]:
    def result(task_id: str, **options: Any) -> AsyncResult:
        made = TypedResult(task_id, backend=task.backend, task_name=task.name, app=task.app, **options)
        made.values = values
        return made

    return result


class TypedResult(AsyncResult):
    """The result of a task as its contract's annotation says."""

    values: Values | None = None  # as of one that was pickled

    def _set_cache(self, meta: Any) -> Any:
        if meta["status"] == "SUCCESS" and self.values is not None and self.values.returned is not None:
            try:
                value = self.values.returned.decode(meta["result"], f"{self.values.name}: what it has returned")
            except TypeError as error:
                meta = {**meta, "status": "FAILURE", "result": error}
            else:
                meta = {**meta, "result": value}
        return super()._set_cache(meta)


def shapes_of(contract: type[celery.Task]) -> dict[str, Shape]:
    """Return the shapes that JSON does not know, by name; an annotation that can't be used is named in the log."""
    run = inspect.unwrap(contract.run)
    try:
        hints = get_type_hints(run, include_extras=True)
    except Exception as error:  # noqa: BLE001 - of whatever is evaluated
        _log.warning("Arguments of %s are not checked, since an annotation can't be read: %s", contract.name, error)
        return {}
    found = {}
    for name, annotation in hints.items():
        try:
            shape = shape_of(annotation)
        except TypeError as error:
            _log.warning("%r of %s is not checked: %s", name, contract.name, error)
            continue
        if shape.is_rich:
            found[name] = shape
    return found
