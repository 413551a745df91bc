"""What makes a task class a contract, and what an implementation owes it.

A contract is a class whose `run` is defined in this package; an implementation is a subclass whose `run` is defined
elsewhere. Producer and consumer see the same contract, so what one may send the other must take.
"""

import inspect
from collections.abc import Callable
from inspect import Parameter, Signature

import celery

PACKAGE = __name__.partition(".")[0]
_DEFERRED = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_ANY = {Parameter.VAR_POSITIONAL: "number of arguments", Parameter.VAR_KEYWORD: "keyword argument"}


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
    """Raise ContractError where a task class can't be hosted: nobody implemented it, or it breaks the contract it inherits.

    A class without a contract has only itself to keep to.
    """
    if task.run is celery.Task.run:
        raise ContractError(f"{_path(task)} has no run: define it")
    if any(kind(task.run) for kind in _DEFERRED):
        raise ContractError(
            f"{_path(task)}.run is a coroutine or generator, whose body no worker would run: use def and return"
        )
    taken = _signature(task)
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
    promised = _signature(contract)
    problem = _misfit(promised, taken)
    if problem:
        raise ContractError(
            f"{_path(task)}.run{taken} does not fit its contract {_path(contract)}.run{promised}: {problem}"
        )


def argument_check(task: type[celery.Task]) -> Callable[..., None]:
    """Return a function that raises TypeError for arguments that the contract's `run` does not take.

    `Task.apply_async` calls it as `__header__` before it sends anything; for class-based tasks stock Celery has none.
    """
    signature = _signature(contract_of(task) or task)

    def check(*args: object, **kwargs: object) -> None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{task.name}{signature}: {error}") from None

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


def _signature(task: type[celery.Task]) -> Signature:
    """Return the signature of a class's `run` without self; raises ContractError where it has none."""
    run = inspect.getattr_static(task, "run")
    try:
        return inspect.signature(run.__get__(object(), task) if hasattr(run, "__get__") else run)
    except ValueError:
        raise ContractError(f"{_path(task)}.run takes no self: define it as a method") from None


def _most_derived(task: type[celery.Task]) -> set[type[celery.Task]]:
    derived = {each for subclass in task.__subclasses__() for each in _most_derived(subclass)}
    implementations = {each for each in derived if not is_contract(each)}
    return implementations or {task}


def _path(task: type[celery.Task]) -> str:
    return f"{task.__module__}:{task.__qualname__}"
