"""What makes a task class a contract, and what an implementation owes it.

A contract is a class whose `run` is defined in this package; an implementation is a subclass whose `run` is defined
elsewhere. Producer and consumer see the same contract, so what one may send the other must take.
"""

import inspect
from collections.abc import Callable
from inspect import Parameter, Signature

import celery
from celery.utils.functional import head_from_fun

PACKAGE = __name__.partition(".")[0]


class ContractError(TypeError):
    """A task class does not keep its contract; the message says which, how, and what to do."""


def is_contract(task: type[celery.Task]) -> bool:
    """Say whether a task class is a contract: whether nobody has implemented its `run`."""
    module: str = task.run.__module__
    return module.partition(".")[0] == PACKAGE


def contract_of(task: type[celery.Task]) -> type[celery.Task] | None:
    """Return the contract that a task class implements, itself where it is one, or None where there is none."""
    for base in task.__mro__:
        defined = vars(base).get("run")
        if defined is not None and defined.__module__.partition(".")[0] == PACKAGE:
            return base
    return None


def implementation_of(contract: type[celery.Task]) -> type[celery.Task] | None:
    """Return the one implementation of a contract that this process has defined, or None where there is none.

    Raises ContractError where there are several: which one is meant can't be known.
    """
    found = sorted(_most_derived(contract) - {contract}, key=_path)
    if len(found) > 1:
        raise ContractError(
            f"{_path(contract)} has several implementations here: {', '.join(map(_path, found))}; "
            "pass the one to use to create_worker_from"
        )
    return found[0] if found else None


def check_implementation(task: type[celery.Task]) -> None:
    """Raise ContractError where a task class can't be hosted: it is a bare contract, or breaks the one it inherits.

    A class without a contract has only itself to keep to.
    """
    contract = contract_of(task)
    if contract is None:
        return
    if is_contract(task):
        raise ContractError(f"{_path(task)} is a contract without an implementation: host a subclass that defines run")
    if task.name != contract.name:
        raise ContractError(
            f"{_path(task)} is named {task.name!r}, but its contract {_path(contract)} is named {contract.name!r}: "
            "producers would send to a queue that nobody serves"
        )
    problem = _misfit(_signature(contract), _signature(task))
    if problem:
        raise ContractError(
            f"{_path(task)}.run{_signature(task)} does not fit its contract {_path(contract)}.run{_signature(contract)}: "
            f"{problem}"
        )


def argument_check(task: type[celery.Task]) -> Callable[..., object]:
    """Return a function that raises TypeError for arguments that `run` does not take.

    `Task.apply_async` calls it as `__header__` before it sends anything; for class-based tasks stock Celery has none.
    """
    check: Callable[..., object] = head_from_fun((contract_of(task) or task).run, bound=True)
    return check


def unimplemented(contract: type[celery.Task]) -> type[celery.Task]:
    """Return the contract as producers use it; if a worker runs it all the same, it fails instead of returning None."""

    def run(self: celery.Task, *args: object, **kwargs: object) -> object:
        raise NotImplementedError(
            f"task {contract.name!r} was run by its contract {_path(contract)}: "
            "the consumer must host a subclass that implements run"
        )

    return type(contract.__name__, (contract,), {"__module__": contract.__module__, "run": run})


def _misfit(contract: Signature, implementation: Signature) -> str | None:
    """Return why some call that fits the contract would not fit the implementation, or None where all do."""
    for args, kwargs in _calls(contract):
        try:
            taken = implementation.bind(*args, **kwargs).arguments
        except TypeError as error:
            return str(error)
        for name in args:
            if name in contract.parameters and name in taken and taken[name] != name:
                return f"argument {name!r} is at another position"
    return None


def _calls(contract: Signature) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """Return calls that a contract allows, which together use all that it allows; each value is its parameter's name."""
    parameters = list(contract.parameters.values())
    calls = []
    for given in (parameters, [each for each in parameters if each.default is Parameter.empty]):
        named = {each.name: each.name for each in given if each.kind is Parameter.KEYWORD_ONLY}
        only_positional = tuple(each.name for each in given if each.kind is Parameter.POSITIONAL_ONLY)
        either = [each.name for each in given if each.kind is Parameter.POSITIONAL_OR_KEYWORD]
        calls.append(((*only_positional, *either), named))
        calls.append((only_positional, {**{name: name for name in either}, **named}))
    most, named = calls[0]
    if any(each.kind is Parameter.VAR_POSITIONAL for each in parameters):
        calls.append(((*most, "one more"), named))
    if any(each.kind is Parameter.VAR_KEYWORD for each in parameters):
        calls.append((most, {**named, "one_more": "one more"}))
    return calls


def _signature(task: type[celery.Task]) -> Signature:
    signature = inspect.signature(task.run)
    _, *parameters = signature.parameters.values()  # without self
    return Signature(parameters)


def _most_derived(task: type[celery.Task]) -> set[type[celery.Task]]:
    derived = {each for subclass in task.__subclasses__() for each in _most_derived(subclass)}
    implementations = {each for each in derived if not is_contract(each)}
    return implementations or {task}


def _path(task: type[celery.Task]) -> str:
    return f"{task.__module__}:{task.__qualname__}"
