"""Tasks that end their process again and again: each is set aside for itself, and the tasks around it are not.

    its process                                   is known from
    --------------------------------------------  ----------------------------------------------------------
    the worker itself, with threads and solo,     whoever has started this worker after it: `Blame.begin`
    or the main process of prefork
    a child of prefork                            the pool: `WorkerLostError`

A task that has ended it as often as it may is not run when it is delivered again. Its caller gets WorkerLostError with causes:

    its queue      what becomes of the message
    -------------  -------------------------------------------------------------------------------------------------
    a safe one     a copy with the reason in a header, CRASHES, takes its place; when it comes it is rejected, and is a
                   dead letter. Where no copy is taken the message is kept, and a copy is sent later
    another        it is rejected: a dead letter where its queue has such, else it is gone, and the log has its arguments

The broker counts how often a message was given back, by whatever node. One that came back more often than a task may die, and
ended its process here while it ran alone, is set aside as well: its other deaths were on nodes that this one does not know.
What gets no more runs by its queue's limit, and has ended its process here, is set aside with what is known of that.

What is delivered for the first time is run, also one that was set aside and has been sent once more. A time limit is no such
end, nor are the stop of a worker and a lost connection.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import WorkerLostError
from celery.utils.log import get_logger
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.utils.encoding import safe_repr
from kombu.utils.functional import LRUCache

from celery_delivery import internals, mending
from celery_delivery.worker.copies import Replacement, options_of, replace
from celery_delivery.worker.deaths import CRASHED, CRASHES, HEADER
from celery_delivery.worker.requests import tell

MOST_KNOWN = 1_000  # tasks; the least recent are forgotten

_log = get_logger(__name__)


class Deaths(NamedTuple):
    """How often the process of a task has ended, and how, for people; was_alone: whether nothing else ran in one of them."""

    often: int = 0
    causes: str = ""
    was_alone: bool = False


class Blame:
    """What one worker knows of the deaths of its tasks.

    consumer: the worker's, of this library; None where it has another. tell: called with each death in its pool.
    """

    def __init__(self) -> None:
        self.consumer: Any = None
        self.tell: Callable[[str, str], None] = lambda _task_id, _cause: None
        self._most = 0
        self._known = LRUCache(limit=MOST_KNOWN)  # by id: Deaths

    def begin(self, suspects: Mapping[str, Deaths], most: int) -> None:
        """Take what is known of deaths, by id; `most` is how many a task may have."""
        self._most = most
        self._known.update(suspects)

    def died(self, task_id: str, cause: str) -> None:
        """Note that a process of the pool has ended while it ran a task."""
        deaths, causes, _ = self._known.pop(task_id, Deaths())
        if deaths >= self._most:  # it was set aside, and has been sent once more
            deaths, causes = 0, ""
        causes = causes if cause in causes else ", ".join(filter(None, (causes, cause)))
        self._known[task_id] = Deaths(deaths + 1, causes, was_alone=True)
        self.tell(task_id, cause)

    def verdict(self, request: Request) -> str:
        """Return why a task is not to be run, empty where it is."""
        if not self._known or request.id not in self._known or not request.delivery_info.get("redelivered"):
            return ""
        known = self._known[request.id]
        if known.often >= self._most:
            return f"its process ended {known.often} times while it ran: {known.causes}"
        return self.suspicion(request) if known.was_alone and _came_back(request) > self._most else ""

    def suspicion(self, request: Request) -> str:
        """Return what is known against a task that its queue gives no more runs, empty where that is nothing."""
        if request.id not in self._known:
            return ""
        known = self._known[request.id]
        where = "here" if known.was_alone else "here beside others"
        return f"it was given back {_came_back(request)} times; its process ended while it ran {where}: {known.causes}"

    def deaths(self, request: Request) -> int:
        """Return how often the process of a task has ended, as far as that is known."""
        known: Deaths = self._known.get(request.id, Deaths())
        return known.often


blame = Blame()


def blaming(base: type[Request]) -> type[Request]:
    """Return a Request class that knows of deaths, made of one that does not."""
    if not mending.applies(internals.crashes.BLAME):
        return base

    class Blamed(base):
        def revoked(self) -> bool:
            if super().revoked():
                return True
            verdict = blame.verdict(self)
            if verdict:
                _set_aside(self, verdict)
            return bool(verdict)

        def give_up(self) -> None:
            suspicion = blame.suspicion(self)
            if suspicion:
                _set_aside(self, suspicion)
            else:
                super().give_up()

        def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> Any:
            raised = exc_info.exception
            raised = raised.exc if isinstance(raised, ExceptionWithTraceback) else raised
            if isinstance(raised, WorkerLostError):
                blame.died(self.id, str(raised).partition(" Job: ")[0])
            return super().on_failure(exc_info, *args, **kwargs)

    return Blamed


def _came_back(request: Request) -> int:
    """Return how often a message was given back, by whatever node; 0 where its broker does not count that."""
    count = (request.message.headers or {}).get("x-delivery-count")
    return count if isinstance(count, int) else 0


def _set_aside(request: Request, verdict: str) -> None:
    consumer, message = blame.consumer, request.message
    queue = None if consumer is None else consumer.queue_of(message)
    if queue is None:
        text = "Task %s[%s] is not run again, and its caller is told that it failed: %s. Its arguments were %s, %s"
        _log.error(text, request.name, request.id, verdict, safe_repr(request.args), safe_repr(request.kwargs))
        _end(request, verdict, partial(request.reject, requeue=False))
        return

    def then() -> None:
        text = "Task %s[%s] is not run again. It becomes a dead letter, and its caller is told that it failed: %s"
        _log.error(text, request.name, request.id, verdict)
        _end(request, verdict, request.acknowledge)

    options = options_of(message, queue.name, {HEADER}, **{CRASHES: verdict, CRASHED: blame.deaths(request)})
    reason = f"Task {request.name}[{request.id}] is to be a dead letter: {verdict}"
    replace(consumer, message, Replacement(options, then, partial(_set_aside, request, verdict), reason))
    task_ready(request)


def _end(request: Request, verdict: str, settle: Callable[[], None]) -> None:
    tell(request, WorkerLostError(verdict))
    settle()
    task_ready(request)
