"""Celery apps for task classes: one app for one queue, with the settings, and the promise, of a settings module."""

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

import celery
from celery import _state
from kombu.transport import pyamqp

from celery_delivery import internals, mending
from celery_delivery.broker import bodies
from celery_delivery.contract import on_class, values
from celery_delivery.contract.contracts import Contracts, queue_of, unimplemented
from celery_delivery.contract.fit import argument_check, signature_of
from celery_delivery.contract.names import Names
from celery_delivery.contract.options import check_options
from celery_delivery.coroutines.hosting import host
from celery_delivery.errors import SettingError
from celery_delivery.results import methods
from celery_delivery.results.replies import ReplyBackend
from celery_delivery.sending.routing import OF_ONE_TASK, Routing, caller_of_what_follows, first_name, is_passed_on
from celery_delivery.sending.workflows import look_at_groups, look_behind
from celery_delivery.sending.zones import tell_of_naive
from celery_delivery.settings import own_first, profile
from celery_delivery.settings.weakened import weakened
from celery_delivery.worker import builtins
from celery_delivery.worker.hooks import contain
from celery_delivery.worker.retries import Following, keep_retries

__all__ = ["App", "create_app_from", "queue_of"]

_log = logging.getLogger(__name__)


def create_app_from(
    WorkerClasses: Sequence[type[celery.Task]], celery_config: str, contracts: str | None = None
) -> celery.Celery:
    """Return an app that has these task classes, of one queue, and sends to that queue.

    celery_config: the settings module. Its `delivery_profile` says what is promised, its own settings win over the profile's.
    contracts: the package in which a task class is a contract; default the settings module's.

    Raises TypeError for what is no task class with a name, has an option that Celery can't use, or has another queue;
    SettingError; UnsupportedError where what is installed can't keep the promise.
    """
    queues = {queue_of(each) for each in WorkerClasses}
    if len(queues) != 1:
        raise TypeError(
            f"an app has one queue, not {len(queues)}: {', '.join(sorted(queues)) or 'no task class was given'}"
        )
    for each in WorkerClasses:
        check_options(each)
    if mending.applies(internals.client.SIZES):
        bodies.bound()
    on_class.tell()
    app = App()
    _be_default(app)
    app.config_from_object(celery_config)
    own_first.put_own_first(app, os.environ)
    known = Contracts.beside(celery_config) if contracts is None else Contracts(contracts)
    app.names = Names(known)
    look_at_groups()
    methods.offer()
    is_safe = profile.is_safe(app.conf)
    app.backend_cls = "celery_delivery.results.backends:stock_backend"
    if not app.conf.worker_enable_remote_control:
        app.control_cls = "celery_delivery.sending.control:Control"
    if is_safe:
        for mend in internals.REQUIRED:
            mending.require(mend)
        app.amqp_cls = Following
        app.backend_cls = "celery_delivery.results.backends:backend"
        hush_celery()
    _apply_profile(app, queues.pop())
    if is_safe:
        _check_broker(app)
    for loss in weakened(app.conf, WorkerClasses):
        _log.warning("Less is promised than by the profile safe: %s", loss)
    for each in WorkerClasses:
        task = app.register_task(_task(each, known))
        host(task)
        values.keep(task, known.of(each) or each, signature_of, is_passed_on)
        contain(task)
        if mending.applies(internals.worker.CERTAIN):
            task.Request = _request(task.Request)
        keep_retries(task)
    if mending.applies(internals.client.BUILTINS):
        builtins.restrict(app)
    return app


class App(celery.Celery):
    """A Celery app that can be told to run a worker the way the article does it, and that tests can do without a broker."""

    amqp_cls = Routing
    names = Names(Contracts(""))
    stub: ClassVar[Any] = None  # what tests have in place of every app's broker: `celery_delivery.testing`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._others: dict[str, Any] = {}
        super().__init__(*args, **kwargs)

    @property
    def producer_pool(self) -> Any:
        """What producers are taken from."""
        return super().producer_pool if App.stub is None else App.stub.pool(self)

    @property
    def backend(self) -> Any:
        """Where results go."""
        if App.stub is None or self.conf.result_backend in {None, "disabled://"}:
            return super().backend
        return App.stub.backend(self)

    @property
    def thread_oid(self) -> str:
        """The queue for results that a task, or each step of a chain, is sent with: that of whoever reads them.

        What is called when a task has ended has its result sent to who called that task.
        """
        caller = caller_of_what_follows()
        if caller:
            return caller
        backend = self.backend
        return backend.oid if isinstance(backend, ReplyBackend) else str(super().thread_oid)

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *more: Any, **options: Any) -> Any:
        """Send a task by its name; one of another queue as its contract says."""
        if options.get("task_type") is None and not self.hosts(name) and not self.conf.task_always_eager:
            task = self.task_of(name)
            if task is not None and not more:
                return task.apply_async(args, kwargs, **options)
        elif options.get("task_type") is None and hasattr(self._tasks.get(name), "values"):
            own = self._tasks[name]
            args, kwargs = own.values.encoded(args or (), kwargs or {})
            options = {"result_cls": own.AsyncResult, **options}
        if name in OF_ONE_TASK and "task" in (kwargs or ()) and not is_passed_on():
            values.need_plain_result(self.task_of(first_name(kwargs["task"])))
        tell_of_naive(options)
        look_behind(self, options)
        patience = options.get("confirm_timeout")
        if patience is None or options.get("producer") is not None:
            return super().send_task(name, args, kwargs, *more, **options)
        with self.producer_pool.acquire(block=True, timeout=patience) as producer:
            return super().send_task(name, args, kwargs, *more, **{**options, "producer": producer})

    def signature(self, name: Any, *args: Any, **options: Any) -> Any:
        """Return a signature; of a contract with annotations that count, one that knows its task."""
        task: Any = self.task_of(name) if isinstance(name, str) else None
        return (
            task.signature(*args, **options) if hasattr(task, "values") else super().signature(name, *args, **options)
        )

    def type_checker(self, fun: Callable[..., Any], bound: bool = False) -> Any:
        """Return what checks the arguments of a decorated task, such as Celery's own; it is made when it is first asked."""
        made: list[Callable[..., Any]] = []

        def check(*args: Any, **kwargs: Any) -> Any:
            if not made:
                made.append(super(App, self).type_checker(fun, bound).__func__)
            return made[0](*args, **kwargs)

        return staticmethod(check)

    def hosts(self, name: str) -> bool:
        """Say whether a task is one of the app's own, or built into Celery."""
        return name in self._tasks

    def task_of(self, name: str) -> Any:
        """Return the task of a name: the app's own, or one to send by where there is a contract; else None."""
        own = self._tasks.get(name)
        if own is not None:
            return own
        if name not in self._others:
            contract = self.names.find(name)
            self._others[name] = contract and _other(self, contract, self.names.contracts)
        return self._others[name]

    def worker_main(self, argv: Sequence[str] | None = None) -> None:
        """Run a worker with these arguments; since Celery 5 they must name the command, which is added where it's missing."""
        super().worker_main(argv if argv is None or "worker" in argv else ["worker", *argv])


def _task(WorkerClass: type[celery.Task], contracts: Contracts) -> celery.Task:
    """Return the task to register: implemented where it can be, its arguments checked before anything is sent."""
    chosen = WorkerClass
    if contracts.has(WorkerClass):
        chosen = contracts.implementation_of(WorkerClass) or unimplemented(WorkerClass)
    task = chosen()
    if mending.applies(internals.client.ARGUMENTS):
        task.__header__ = argument_check(WorkerClass, contracts)
    return task


def _other(app: App, contract: type[celery.Task], contracts: Contracts) -> celery.Task:
    """Return a contract of another queue, to send by; what came by a message is for its own worker to check."""
    task = unimplemented(contract)()
    task.bind(app)
    check = argument_check(contract, contracts)
    task.__header__ = partial(_unless_passed_on, check)
    values.keep(task, contract, signature_of, is_passed_on)
    return task


def _unless_passed_on(check: Any, /, *args: Any, **kwargs: Any) -> None:
    if not is_passed_on():
        check(*args, **kwargs)


def _request(base: Any) -> Any:
    """Return the class of a task's requests, or its name: only workers import it."""
    module = "celery_delivery.worker.requests"
    return f"{module}:Request" if base == celery.Task.Request else import_module(module).certain(base)


def _be_default(app: celery.Celery) -> None:
    """Be the app of threads that have made none, unless there is one: Celery's own sends to localhost."""
    known = _state.default_app
    if known is None or known.main == "default":  # so Celery calls its own
        app.set_default()


def _apply_profile(app: celery.Celery, queue: str) -> None:
    """Add the settings of a profile that the app's own settings say nothing about, and those that lead to a queue."""
    added = profile.defaults(app.conf)
    # Celery's add_defaults goes before the settings module, not behind it.
    own = own_first.own_settings(app.conf)
    app.add_defaults({name: value for name, value in added.items() if name not in own})
    app.conf.update(profile.queue_settings(app.conf, queue))


def _check_broker(app: celery.Celery) -> None:
    """Raise SettingError for a broker whose messages can't be confirmed; nothing is opened."""
    connection = app.connection_for_write()
    if not issubclass(connection.get_transport_cls(), pyamqp.Transport):
        raise SettingError(
            f"delivery_profile is 'safe', but broker_url begins with {connection.transport_cls}, where nothing is confirmed: "
            "name a RabbitMQ, or set delivery_profile to article"
        )


def hush_celery() -> None:
    """Drop Celery's warning that its own delays do not work with direct exchanges: they are not used here."""
    log = logging.getLogger("celery.app.base")
    if _is_not_of_delays not in log.filters:
        log.addFilter(_is_not_of_delays)


def _is_not_of_delays(record: logging.LogRecord) -> bool:
    return "Direct exchanges" not in str(record.msg)
