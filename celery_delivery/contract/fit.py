"""What an implementation owes its contract: the same name and queue, and a `run` that takes whatever the contract's takes.

Producer and consumer see the same contract, so what one may send the other must take.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial, singledispatchmethod
from inspect import Parameter, Signature

import celery

from celery_delivery.contract.calls import Call
from celery_delivery.contract.contracts import Contracts, path, queue_of
from celery_delivery.contract.options import check_options
from celery_delivery.contract.runs import GENERATOR, is_generator, lacks_self
from celery_delivery.errors import ContractError

_NO_SELF = "{}.run takes no self: define it as a method"
_ANY = {Parameter.VAR_POSITIONAL: "number of arguments", Parameter.VAR_KEYWORD: "keyword argument"}


def check_implementation(task: type[celery.Task], contracts: Contracts) -> None:
    """Raise ContractError where a task class can't be hosted: nobody implemented it, or it breaks the contract it inherits.

    A class without a contract has only itself to keep to.
    """
    check_options(task)
    if task.run is celery.Task.run:
        raise ContractError(f"{path(task)} has no run: define it")
    if is_generator(task.run):
        raise ContractError(f"{path(task)}.run is {GENERATOR}")
    taken = signature_of(task)
    run = inspect.getattr_static(task, "run")
    if not (
        hasattr(run, "__get__") or isinstance(run, partial)
    ):  # who makes a partial means it to be called without self
        raise ContractError(
            f"{path(task)}.run is {type(run).__name__!r}, of which Python makes no method, so that self is not passed: "
            "define it with def; what decorates it must return a function"
        )
    if lacks_self(run):
        raise ContractError(_NO_SELF.format(path(task)))
    contract = contracts.of(task)
    if contract is None:
        return
    if contracts.has(task):
        raise ContractError(f"{path(task)} is a contract without an implementation: host a subclass that defines run")
    if task.name != contract.name:
        raise ContractError(
            f"{path(task)} is named {task.name!r}, but its contract {path(contract)} is named {contract.name!r}: "
            "producers would send to a queue that nobody serves"
        )
    if queue_of(task) != queue_of(contract):
        raise ContractError(
            f"{path(task)} has the queue {queue_of(task)!r}, but its contract {path(contract)} has {queue_of(contract)!r}: "
            "producers would send to a queue that nobody serves. Set `queue` in the contract"
        )
    promised = signature_of(contract)
    problem = _misfit(promised, taken)
    if problem:
        raise ContractError(
            f"{path(task)}.run{taken} does not fit its contract {path(contract)}.run{promised}: {problem}"
        )


def argument_check(task: type[celery.Task], contracts: Contracts) -> Callable[..., None]:
    """Return a function that raises TypeError for arguments that the contract's `run` does not take.

    `Task.apply_async` calls it as `__header__` before it sends anything; for class-based tasks stock Celery has none. It is a
    partial, as by what else is there Celery would take the task for one to call as an errback in the process of the task that
    failed, with other arguments.
    """
    return partial(_check, _Taken(contracts.of(task) or task))


class _Taken:
    """What a task takes, looked at when it is first sent: most workers send none, and `inspect` has pages that they share."""

    def __init__(self, task: type[celery.Task]) -> None:
        self._task = task
        self._call: Call | None = None

    def __str__(self) -> str:
        return f"{self._task.name}{signature_of(self._task)}"

    def check(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        if self._call is None:
            self._call = Call(signature_of(self._task))
        self._call.check(args, kwargs)


def _check(taken: _Taken, /, *args: object, **kwargs: object) -> None:
    try:
        taken.check(args, kwargs)
    except TypeError as error:
        is_text = len(args) > 1 and all(
            isinstance(each, str) and len(each) == 1 for each in args
        )  # apply_async("text")
        advice = ". If args was one text, write (text,)" if is_text else ""
        raise TypeError(f"{taken}: {error}{advice}") from None


def _misfit(contract: Signature, implementation: Signature) -> str | None:
    """Return why some call that fits the contract would not fit the implementation, or None where all do."""
    for kind, what in _ANY.items():
        if _takes(contract, kind) and not _takes(implementation, kind):
            return f"it does not take any {what}"
    either = {name for name, each in contract.parameters.items() if each.kind is Parameter.POSITIONAL_OR_KEYWORD}
    for args, kwargs in _calls(contract, more=len(implementation.parameters)):
        try:
            taken = implementation.bind(*args, **kwargs).arguments
        except TypeError as error:
            return str(error)
        for name, sent in taken.items():
            if isinstance(sent, str) and sent != name and sent in either:
                return f"argument {sent!r} would arrive as {name!r}"
    return None


def _calls(contract: Signature, more: int) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """Return calls that a contract allows, which together use all that it allows; each value is its parameter's name.

    more: how many arguments to add where it takes any number.
    """
    parameters = list(contract.parameters.values())
    calls = []
    for given in (parameters, [each for each in parameters if each.default is Parameter.empty]):
        named = {each.name: each.name for each in given if each.kind is Parameter.KEYWORD_ONLY}
        only_positional = tuple(each.name for each in given if each.kind is Parameter.POSITIONAL_ONLY)
        either = [each.name for each in given if each.kind is Parameter.POSITIONAL_OR_KEYWORD]
        calls.append(((*only_positional, *either), named))
        calls.append((only_positional, {**{name: name for name in either}, **named}))
    most, named = calls[0]
    if _takes(contract, Parameter.VAR_POSITIONAL):
        calls.append(((*most, *["one more"] * more), named))
    if _takes(contract, Parameter.VAR_KEYWORD):
        calls.append((most, {**named, "one_more": "one more"}))
    return calls


def _takes(signature: Signature, kind: object) -> bool:
    return any(each.kind is kind for each in signature.parameters.values())


def signature_of(task: type[celery.Task]) -> Signature:
    """Return the signature of a class's `run` without self; raises ContractError where it has none."""
    run = inspect.getattr_static(task, "run")
    if isinstance(run, singledispatchmethod):
        run = run.func  # inspect sees the self of what it makes as an argument
    try:
        return inspect.signature(run.__get__(object(), task) if hasattr(run, "__get__") else run)
    except ValueError:
        raise ContractError(_NO_SELF.format(path(task))) from None
    except TypeError:
        raise ContractError(
            f"{path(task)}.run is {type(run).__name__!r}, which can't be called: define it as a method"
        ) from None
