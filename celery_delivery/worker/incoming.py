"""What is looked at, and set right, in a message before a task is made of it.

Stock Celery acks a wrong signature as a failure, acks what it can't decode, and dies of some others, again and again.
Here all of them are rejected and not delivered again: they become dead letters.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from celery import Task
from celery.exceptions import InvalidTaskError
from celery.utils.log import get_logger

from celery_delivery.broker.bodies import TEXT
from celery_delivery.contract.calls import Call
from celery_delivery.contract.fit import signature_of
from celery_delivery.errors import ContractError
from celery_delivery.topology import delays
from celery_delivery.worker import frames
from celery_delivery.worker.clocks import clocks

# What Celery takes from a body of its first protocol, unless the headers have it.
_OPTIONS = ("eta", "expires", "retries", "timelimit")

TOLERATED = 5.0  # seconds by which clocks may differ before it is told
MOST_SHOWN = 100  # characters of a sender's name, which it chooses; it shares a page with the tasks that run
_STEP = "delays are right all the same, but `expires` is not; have both keep their time (NTP)"

_log = get_logger(__name__)


class Signatures:
    """What tasks can be called with; each is looked at once."""

    def __init__(self) -> None:
        self._of: dict[type[Task], Call | None] = {}

    def check(self, tasks: Mapping[str, Task], message: Any) -> None:
        """Raise InvalidTaskError for a message whose arguments do not suit its task, or which is no task message at all.

        Names that are not among the tasks are left for Celery to find. Raises what `arguments_of` does.
        """
        args, kwargs = arguments_of(message)
        if "self" in kwargs:  # Celery calls a task by a method of it, so that none can be given this
            raise InvalidTaskError("a named argument is `self`, which is the task's own")
        name = (message.headers or {}).get("task") or message.payload["task"]
        task = tasks.get(name)
        if task is None or not task.typing:
            return
        call = self._call(type(task))
        if call is None:
            return
        try:
            call.check(args, kwargs)
        except TypeError as error:
            raise InvalidTaskError(f"task {name} can't be called with these arguments: {error}") from error

    def _call(self, task: type[Task]) -> Call | None:
        """Return what a class's `run` can be called with, None where Python knows of no signature."""
        if task not in self._of:
            try:
                self._of[task] = Call(signature_of(task))
            except ContractError:
                self._of[task] = None
        return self._of[task]


class Times:
    """When tasks are due: what has waited in the broker is due when it comes, whatever the clock of this host says."""

    def __init__(self) -> None:
        self._is_told = False

    def settle(self, message: Any) -> None:
        """Take the time away from a message whose delay is over, if it is still to come here; tell of the clocks, once."""
        if message.delivery_info.get("exchange") != delays.DUE:
            return
        try:
            early = delays.remaining((message.headers or {}).get("eta"), datetime.now(UTC))
        except (TypeError, ValueError, OverflowError):
            return  # Celery says what is wrong with it
        if early <= 0:
            return
        message.headers["eta"] = None
        if early > TOLERATED:
            self._tell(early, message.headers)

    def _tell(self, early: float, headers: Mapping[str, Any]) -> None:
        sender = str(headers.get("origin") or "who sends")[:MOST_SHOWN]
        differs = f"clock of this host is {int(early)} s or more behind that of {sender}"
        clocks.differ(f"the {differs}: {_STEP}")
        if not self._is_told:
            self._is_told = True
            _log.warning("The %s, by %s[%s]: %s", differs, headers.get("task"), headers.get("id"), _STEP)


def arguments_of(message: Any) -> tuple[Any, Any]:
    """Return a message's positional and named arguments; raises InvalidTaskError for what is no task message.

    kombu's DecodeError and ContentDisallowed are raised for a body that can't be read. Both versions of Celery's protocol
    are understood.
    """
    if message.content_type == TEXT:
        raise InvalidTaskError(f"{TEXT} is no task")
    headers = message.headers or {}
    if "task" in headers and not (isinstance(headers["task"], str) and isinstance(headers.get("id"), str)):
        raise InvalidTaskError(headers.get(frames.REASON) or "the headers `task` and `id` are not both text")
    body = message.payload
    match body:
        case {"task": str(), "id": str()} if "task" not in headers:
            args, kwargs = body.get("args", ()), body.get("kwargs", {})
        case {"args": _} | {"kwargs": _} if "task" in headers:
            args, kwargs = body.get("args", ()), body.get("kwargs", {})
        case [args, kwargs, dict() | None] if "task" in headers:
            pass
        case _:
            raise InvalidTaskError("the body is not a list of arguments, named arguments and options")
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict):
        raise InvalidTaskError("the arguments are no list, or the named arguments no mapping")
    if isinstance(body, dict):
        body.update(args=args, kwargs=kwargs)
        message.headers = {**{name: body[name] for name in _OPTIONS if name in body}, **headers}
    return args, kwargs
