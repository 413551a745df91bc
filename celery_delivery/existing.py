"""An app that is there already takes up the profile `safe`, by one line in the module that makes it.

    from celery_delivery.existing import make_safe

    app = Celery("shop")
    make_safe(app)                              # or: make_safe(app, queues=["orders", "mail"])

It holds for whoever loads the module: producers and workers. Nothing is opened, and the app's settings are read when they are
needed, so that they may come before the line or after it.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import celery
from celery import signals

from celery_delivery import internals, mending
from celery_delivery.adopted.amqp import CONSUMER, adopted
from celery_delivery.adopted.preparing import prepare
from celery_delivery.adopted.queues import Wanted
from celery_delivery.adopted.tasks import ACKS, BOTH
from celery_delivery.apps import App, hush_celery
from celery_delivery.errors import SettingError
from celery_delivery.settings import safe
from celery_delivery.topology.queues import DEAD, LONGEST_QUEUE

__all__ = ["make_safe"]

SUFFIX = ".safe"
# Of the profile, what concerns no queue: a worker and its connections have these for all.
_OF_APP = (
    "broker_channel_error_retry",
    "broker_connection_max_retries",
    "broker_connection_retry",
    "broker_connection_retry_on_startup",
    "broker_connection_timeout",
    "broker_heartbeat",
    "worker_cancel_long_running_tasks_on_connection_loss",
    "worker_prefetch_multiplier",
    "worker_soft_shutdown_timeout",
)


def make_safe(app: celery.Celery, queues: Iterable[str] | None = None, suffix: str = SUFFIX) -> None:
    """Have nothing be lost that the broker has accepted for an app's queues; a task of them may run twice.

    queues: their names; None for all that tasks are sent to by name. suffix: what their names on the broker end with.

    Raises SettingError, also for an app whose tasks have been made; UnsupportedError where what is installed can't keep the
    promise.
    """
    wanted = _wanted(app, queues, suffix)
    before = getattr(app, "safe_queues", None)
    if before == wanted:
        return
    if before is not None:
        raise SettingError(
            f"make_safe is called twice for app {app.main!r}, with other queues: name all of them in one call"
        )
    _check(app)
    for mend in internals.REQUIRED_OF_OTHERS:
        mending.require(mend)
    app.safe_queues = wanted
    vars(app).pop("amqp", None)
    app.amqp_cls = adopted
    if app.backend_cls is None:
        app.backend_cls = "celery_delivery.adopted.replies:backend"
    hush_celery()
    app.on_after_configure.connect(_configure, weak=False)
    if app.configured:
        _configure(app)
    signals.celeryd_init.connect(partial(_prepare, app), weak=False)


def _wanted(app: Any, queues: Any, suffix: Any) -> Wanted:
    if not isinstance(app, celery.Celery):
        raise SettingError(f"make_safe is given {app!r}, and needs a Celery app")
    if isinstance(app, App):
        raise SettingError("make_safe is for apps of your own: for this one set delivery_profile to safe")
    if not isinstance(suffix, str):
        raise SettingError(f"make_safe: suffix is {suffix!r}, and must be text")
    if queues is None:
        return Wanted(None, suffix)
    names = [queues] if isinstance(queues, str) else list(queues)
    if isinstance(queues, str) or not names or not all(isinstance(each, str) and each for each in names):
        raise SettingError(f"make_safe: queues is {queues!r}, and must be a list of names; without it all are meant")
    long = next((each for each in names if len(f"{each}{suffix}".encode()) > LONGEST_QUEUE), None)
    if long is not None:
        raise SettingError(f"make_safe: queue {long!r} is too long for a name with {suffix!r} and {DEAD!r} behind it")
    return Wanted(frozenset(names), suffix)


def _check(app: Any) -> None:
    made = sorted(name for name in app._tasks if not name.startswith("celery."))  # noqa: SLF001 - `app.tasks` makes them
    if app.finalized or made:
        which = f"task {made[0]!r} has" if made else "its tasks have"
        raise SettingError(
            f"make_safe comes too late for app {app.main!r}: {which} been made. Call it right below the line that makes the app"
        )
    if app.amqp_cls != celery.Celery.amqp_cls:
        raise SettingError(f"make_safe can't be used with an `amqp` of your own: app {app.main!r} has {app.amqp_cls!r}")


def _configure(sender: Any, **_: Any) -> None:
    """Add what the project's own settings say nothing about."""
    conf = sender.conf
    ours: dict[str, Any] = {name: getattr(safe, name) for name in _OF_APP}
    ours |= {f"task_{name}": stock for name, (stock, _) in ACKS.items()}
    ours |= {"worker_consumer": CONSUMER, "worker_pool": "celery_delivery.worker.pool:MendedPool"}
    if conf.value_set_for(f"task_{BOTH}"):
        del ours["task_acks_on_timeout"]
    own = conf.broker_transport_options if conf.value_set_for("broker_transport_options") else {}
    conf.add_defaults({name: value for name, value in ours.items() if not conf.value_set_for(name)})
    conf.broker_transport_options = {**safe.broker_transport_options, **(own or {})}


def _prepare(app: Any, instance: Any, **_: Any) -> None:
    if instance.app is app:
        prepare(app)
