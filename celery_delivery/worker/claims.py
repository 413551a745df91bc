"""What a message says about its task besides the arguments: refused where Celery could not go on with it later.

What raises while the request is made needs no check here: it is refused then. These are met later, when the task was given
to the pool, or was run:

    claim                                        stock Celery
    -------------------------------------------  --------------------------------------------------------------
    an option of the body that it does not know  takes the place of what the worker knows, such as `delivery_info`:
                                                 acked, and not run
    a header with the name of a method, `get`    the same
    callbacks, errbacks, chain, chord            run, and then a failure, or a worker that ends, six times
    a time limit, a name, a stamp, a number      a worker that ends
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from inspect import isroutine
from typing import Any

from celery import Celery
from celery.app.task import Context
from celery.canvas import maybe_signature
from celery.exceptions import InvalidTaskError

EMBEDDED = frozenset({"callbacks", "errbacks", "chain", "chord"})  # the options in a body, of either protocol

# What each may be, besides nothing.
_TEXT = (str,)
_NUMBER = (int,)
_TIME = (str, datetime)
_LIST = (list, tuple)
_TABLE = (dict,)
_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("argsrepr", "group", "kwargsrepr", "origin", "parent_id", "root_id", "shadow", "taskset"), _TEXT),
    **dict.fromkeys(("group_index", "replaced_task_nesting", "retries"), _NUMBER),
    **dict.fromkeys(("eta", "expires"), _TIME),
    **dict.fromkeys(("callbacks", "errbacks", "chain", "stamped_headers", "timelimit"), _LIST),
    **dict.fromkeys(("chord", "headers", "stamps"), _TABLE),
}
# What a task asks its request for, and must not be given by somebody else.
_OWN = frozenset(
    name for name, value in vars(Context).items() if name[0] == "_" or isroutine(value) or isinstance(value, property)
)
_NO_LIMITS = [None, None]  # what Celery sends with each task that has none
_LONGEST_LIMIT = float("inf")


def check(app: Celery, message: Any) -> None:
    """Raise InvalidTaskError for a message that claims what its task could not go on with; its body is a task's."""
    said, body = message.headers, message.payload
    if isinstance(body, dict):  # Celery's first protocol, or a mixture of both
        said = {**body, **said}
        embedded: Mapping[str, Any] = {name: body.get(name) for name in EMBEDDED}
    else:
        embedded = body[2] or {}
        if not EMBEDDED.issuperset(embedded):
            raise InvalidTaskError(f"the body has options other than {', '.join(sorted(EMBEDDED))}")
    if not _OWN.isdisjoint(said):
        raise InvalidTaskError(f"a header has the name of {min(_OWN.intersection(said))!r}, which is the request's own")
    _check_kinds(said)
    limits, stamps = said.get("timelimit"), said.get("stamped_headers")
    if limits and limits != _NO_LIMITS:
        _check_limits(limits)
    if stamps:
        _check_stamps(stamps)
    if any(embedded.values()):
        _check_kinds(embedded)
        _check_signatures(app, embedded)
    if not EMBEDDED.isdisjoint(said):
        _check_signatures(app, said)


def _check_kinds(said: Mapping[str, Any]) -> None:
    for name, value in said.items():
        if value is not None and name in _KINDS and not isinstance(value, _KINDS[name]):
            raise InvalidTaskError(f"`{name}` can't be {type(value).__name__}")


def _check_limits(limits: Any) -> None:
    if len(limits) != 2 or not all(map(_is_limit, limits)):
        raise InvalidTaskError("`timelimit` is not two numbers of seconds")


def _is_limit(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and 0 <= value < _LONGEST_LIMIT)


def _check_stamps(names: Iterable[Any]) -> None:
    if not all(isinstance(name, str) for name in names):
        raise InvalidTaskError("`stamped_headers` are not names")


def _check_signatures(app: Celery, said: Mapping[str, Any]) -> None:
    """Raise InvalidTaskError unless what follows a task can be made, as it will be made when the task has ended."""
    chain = said.get("chain") or ()  # the next is its last
    due = [*(said.get("callbacks") or ()), *(said.get("errbacks") or ()), *chain[-1:]]
    if said.get("chord"):
        due.append(said["chord"])
    if not all(map(_is_signature, (*chain[:-1], *due))):
        raise InvalidTaskError("what is to follow the task is no signature")
    for each in due:
        maybe_signature(each, app=app)


def _is_signature(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("task"), str)
        and isinstance(value.get("args", ()), list | tuple)
        and isinstance(value.get("kwargs", {}), dict)
        and isinstance(value.get("options", {}), dict)
    )
