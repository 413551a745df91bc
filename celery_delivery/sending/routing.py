"""Where a task goes that is sent by its name: the queue follows the name, whichever app sends it.

Each queue has an app of its own. Stock Celery sends what an app does not know to that app's queue, where it is a dead letter.

    the task is                                      goes to
    -----------------------------------------------  -------------------------------------------------------------------
    sent with `queue=` or `exchange=`, or named by   there; a queue that is no contract's has to exist
    the setting task_routes
    one of the app's own, or built into Celery       the app's queue
    a contract of the shared package                 the contract's queue
    named by a message that came from elsewhere      the queue of its name, which has to exist: whoever wrote the message
                                                     may know contracts that this process does not know yet
    none of these                                    nowhere: UnknownTask
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery import current_task
from celery.app.amqp import AMQP
from celery.app.routes import Router as StockRouter
from kombu import Exchange, Queue

from celery_delivery import internals, mending
from celery_delivery.contract.contracts import queue_of
from celery_delivery.contract.names import Names
from celery_delivery.errors import UnknownTask
from celery_delivery.settings import profile
from celery_delivery.topology.queues import declared_task_queue, existing_task_queue, task_queue

UNLOCK = "celery.chord_unlock"  # asks, again and again, whether the tasks before a chord's body are done
# A chord asks where its body would go, which may be one of these. They are no tasks: the body's tasks are routed by themselves.
WORKFLOWS = {"celery.chain", "celery.chord", "celery.group"}
OF_ONE_TASK = {"celery.map", "celery.starmap", "celery.chunks"}  # run another task, many times

_passes_on: ContextVar[bool] = ContextVar("passes_on", default=False)


@contextmanager
def passing_on() -> Iterator[None]:
    """Have what is sent meanwhile be taken as it came: a message told of it, whose sender has looked at it."""
    token = _passes_on.set(True)
    try:
        yield
    finally:
        _passes_on.reset(token)


def is_passed_on() -> bool:
    """Say whether what is sent at present came by a message."""
    return _passes_on.get()


def caller_of_what_follows() -> str | None:
    """Return the queue for results of who has called the task that has ended, while what follows it is sent; else None."""
    task = current_task if _passes_on.get() else None
    return task.request.reply_to if task else None


class Router(StockRouter):
    """Celery's router for apps that know the names of all contracts."""

    def __init__(self, names: Names, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._names = names
        self._is_safe = profile.is_safe(self.app.conf)
        self._clients_declare = profile.clients_declare(self.app.conf)
        self._made: dict[str, Queue] = {}

    def route(
        self, options: dict[str, Any], name: str, args: Any = (), kwargs: Any = None, task_type: Any = None
    ) -> Any:
        """Return the options with the queue among them; raises UnknownTask where there is none."""
        if name == UNLOCK and len(args or ()) > 1:
            name, options = first_name(args[1]), {**options, "queue": None}
        elif name in OF_ONE_TASK and kwargs and "task" in kwargs:
            name = first_name(kwargs["task"])
        is_routed = options.get("queue") or options.get("exchange") or self.app.hosts(name) or name in WORKFLOWS
        if not (is_routed or (self.routes and self.lookup_route(name, args, kwargs, options, task_type))):
            options = {**options, "queue": self._queue_of(name)}
        return super().route(options, name, args, kwargs, task_type)

    def expand_destination(self, route: Any) -> Any:
        """Return a route with its queue; one that is no contract's is not declared, and may be of any kind."""
        queue = route if isinstance(route, str) else route.get("queue")
        if not self._is_safe or not isinstance(queue, str) or queue in self.queues:
            return super().expand_destination(route)
        return {**({} if isinstance(route, str) else route), "queue": self._elsewhere(queue)}

    def _queue_of(self, name: str) -> Any:
        contract = self._names.find(name)
        if contract is not None:
            queue = queue_of(contract)
            return self._of_contract(queue) if self._is_safe and queue not in self.queues else queue
        if not is_passed_on():
            raise unknown(name, self._names)
        return self._existing(name) if self._is_safe and name not in self.queues else name

    def _elsewhere(self, queue: str) -> Queue:
        if self._names.has_queue(queue):
            return self._of_contract(queue)
        return self._kept(queue, lambda name: Queue(name, Exchange(""), routing_key=name, no_declare=True))

    def _of_contract(self, queue: str) -> Queue:
        return self._kept(queue, task_queue if self._clients_declare else declared_task_queue)

    def _existing(self, queue: str) -> Queue:
        return self._kept(queue, existing_task_queue if self._clients_declare else declared_task_queue)

    def _kept(self, queue: str, make: Callable[[str], Queue]) -> Queue:
        if queue not in self._made:
            self._made[queue] = make(queue)
        return self._made[queue]


class Routing(AMQP):
    """Celery's `app.amqp` for apps whose tasks go where their names say."""

    @mending.where(internals.client.ROUTES)
    def Router(self, queues: Any = None, create_missing: Any = None) -> Router:  # noqa: N802 - Celery's name
        """Return the router of an app that has `names` and says what it `hosts`."""
        app: Any = self.app
        create_missing = app.either("task_create_missing_queues", create_missing)
        return Router(app.names, self.routes, queues or self.queues, create_missing, app=app)

    def _retry_publish(self, publish: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with passing_on():
            return super()._retry_publish(publish, *args, **options)


def unknown(name: str, names: Names) -> UnknownTask:
    """Return what to raise for a task that nobody here knows."""
    package = names.contracts.package
    known = f"no contract in {package} has that name" if package else "the app has no package of contracts"
    similar = names.similar(name) or "To send it to a queue of others, name the queue: queue=…"
    return UnknownTask(f"There is no task {name!r}: {known}. {similar}")


def first_name(signature: Any) -> str:
    """Return the name of the first task of a signature, which may be a chain, a group or a chord."""
    inner = signature["kwargs"]
    match signature.get("subtask_type"):
        case "chain" | "group":
            return first_name(next(iter(inner["tasks"])))
        case "chord":
            return first_name(inner["body"])
        case _:
            return first_name(inner["task"]) if signature["task"] in OF_ONE_TASK else str(signature["task"])
