"""One Celery worker for one queue, in a process that was forked from the template.

The app and its settings are those of the user's settings module, or a project's own; this adds what the worker's spec says and
the account to the daemon.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import Any

from celery import Celery
from celery.concurrency import get_implementation
from celery.utils.imports import symbol_by_name
from celery.utils.log import get_logger

from celery_delivery.apps import create_app_from
from celery_delivery.contract.limits import time_limits
from celery_delivery.results.losses import losses
from celery_delivery.topology.queues import has_dead_letters
from celery_delivery.worker.blame import Deaths, blame, blaming
from celery_delivery.worker.careful import Careful
from celery_delivery.worker.clocks import clocks
from celery_delivery.worker.failures import keeping
from celery_delivery.worker.requests import set_aside

from ..messages import Fork
from ..passwords import passwords
from ..projects import serving, task_class
from ..scoreboard import Scoreboard
from ..secrets import Redactor
from ..spec import KEEP, WorkerSpec
from ..suitability import UNKEPT, unsuited
from ..threads import names, running
from . import loggers
from .ends import accounted_request
from .output import Voice, speak_as_worker
from .plugins import forget_elsewhere
from .pools import Threads, ignore, processes
from .pulse import Account, reporting_consumer
from .pulse_step import pulse_step
from .replacements import Replacements
from .seldom import be_brief
from .stock import consumer_of, limit, pool_of
from .weight import weighing_step

KIB_PER_MIB = 1024
MIB = 1_048_576
# Of an app that says nothing of them: a worker waits for a broker that is away, and opens a channel again that was closed.
SUPERVISED = {
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
}

_log = get_logger(__name__)


def main(
    fork: Fork,
    celery_config: str,
    report: socket.socket,
    board: int,
    voice: Voice,
    replacements: Replacements,
) -> int:
    """Run the worker until it is told to go; return its exit status."""
    spec, generation = fork.spec, fork.generation
    blame.begin({each.id: Deaths(each.deaths, each.cause, each.was_alone) for each in fork.suspects}, spec.max_deaths)
    redact = Redactor(os.environ.items())
    speak_as_worker(voice, spec.queue, generation, redact)
    be_brief()
    account = Account(report, Scoreboard(board))
    blame.tell = account.died
    losses.tell = lambda reason: account.losing.write(redact(reason))
    losses.lost = account.lost.add
    account.clock = clocks.read
    set_aside.tell = account.not_run
    before = running()
    app = _app(spec, celery_config)
    forget_elsewhere()
    app.set_default()
    app.set_current()
    redact.hide(passwords(app))
    _configure(app, spec)
    _attach(app, spec, account)
    if fork.is_careful:
        app.steps["consumer"].add(Careful)
    of_project = bool(spec.app)
    worker = _worker_class(app, spec, replacements, account)(
        # A name of its own each time, also where two instances of this host serve one queue: remote control locks others out.
        hostname=f"{spec.queue}.{generation}.{voice.instance}@{socket.gethostname()}",
        queues=[spec.queue],
        pool_cls=_pool(app, spec, f"{spec.queue}.{generation} of {voice.instance}"),
        concurrency=spec.concurrency,
        time_limit=spec.time_limit,  # not as settings, which would go out with each task that a task sends
        soft_time_limit=spec.soft_time_limit,
        loglevel=spec.log_level,
        without_gossip=True,
        without_mingle=not of_project,
        without_heartbeat=not of_project,
        quiet=True,
        redirect_stdouts=False if voice.journal else None,  # where `print` makes records it needs no logger
    )
    threads = names(running() - before)
    for text in unsuited(spec.pool, time_limits(app.conf, _classes(app, spec)), threads, spec.time_limit):
        _log.warning("%s", text)
    if spec.failed == KEEP and not has_dead_letters(app, spec.queue):
        _log.warning("%s", UNKEPT)
    worker.start()
    if worker.fault is not None:
        raise SystemExit(worker.exitcode) from worker.fault
    return worker.exitcode or 0


def _app(spec: WorkerSpec, celery_config: str) -> Any:
    if spec.app:
        return serving(spec.app)
    return create_app_from([task_class(task) for task in spec.tasks], celery_config)


def _classes(app: Any, spec: WorkerSpec) -> list[type]:
    """Return the classes of the queue's tasks, as far as the app has them; its routes may have changed since."""
    names_of = spec.tasks if spec.app else [task_class(path).name for path in spec.tasks]
    return [type(app.tasks[name]) for name in names_of if name in app.tasks]


def _pool(app: Celery, spec: WorkerSpec, name: str) -> Any:
    """Return the pool's class, or Celery's name of it; the settings may name a mended prefork."""
    match spec.pool:
        case "prefork" if spec.app:
            return processes(pool_of(app.conf.worker_pool), name)
        case "prefork":
            return processes(get_implementation(app.conf.worker_pool), name)
        case "threads":
            return Threads
        case other:
            return other


def _configure(app: Celery, spec: WorkerSpec) -> None:
    # Celery waits in the signal's handler: a solo task, below it, would only stand still before it is ended.
    soft_timeout = 0.0 if spec.pool == "solo" else min(app.conf.worker_soft_shutdown_timeout, spec.cold_timeout / 2)
    memory = spec.max_memory_per_child
    chosen = {
        "worker_prefetch_multiplier": spec.prefetch,
        "worker_max_tasks_per_child": spec.max_tasks_per_child,
        "worker_max_memory_per_child": None if memory is None else memory * KIB_PER_MIB,
    }
    app.conf.update(
        {name: value for name, value in chosen.items() if value is not None or not spec.app},
        worker_soft_shutdown_timeout=soft_timeout,
        worker_proc_alive_timeout=max(app.conf.worker_proc_alive_timeout, spec.start_timeout),
    )
    if spec.app:
        app.conf.update({name: value for name, value in SUPERVISED.items() if not app.conf.value_set_for(name)})
        app.conf.worker_state_db = None  # a file that one process at a time can open


def _attach(app: Celery, spec: WorkerSpec, account: Account) -> None:
    app.steps["consumer"].add(pulse_step(account))
    if spec.memory_soft is not None:
        app.steps["consumer"].add(weighing_step(account, spec.memory_soft * MIB))
    chosen = app.conf.worker_consumer
    consumer = consumer_of(chosen, spec) if spec.app else symbol_by_name(chosen)
    app.conf.worker_consumer = reporting_consumer(consumer, account)


def _worker_class(app: Celery, spec: WorkerSpec, replacements: Replacements, account: Account) -> Any:
    class NodeWorker(app.Worker):
        fault: BaseException | None = None  # what has ended it, which Celery has caught and written down

        def stop(self, in_sighandler: bool = False, exitcode: Any = None) -> None:
            if exitcode:
                self.fault = sys.exc_info()[1]
            super().stop(in_sighandler, exitcode)

        def on_init_blueprint(self) -> None:
            # Here `celery worker` begins to import the modules that hold them; Celery's first signals have been sent.
            replacements.put_in_place()
            super().on_init_blueprint()
            loggers.enable()
            if spec.app:
                limit(self, spec)
            # All tasks are there now: the app is finalized, and its modules are imported.
            for task in app.tasks.values():
                task.Request = accounted_request(_request_class(symbol_by_name(task.Request), spec), account)

        def install_platform_tweaks(self, worker: Any) -> None:
            super().install_platform_tweaks(worker)
            # Celery restarts a worker on SIGHUP by an exec of sys.argv, which is the template's.
            signal.signal(signal.SIGHUP, ignore)

    return NodeWorker


def _request_class(base: Any, spec: WorkerSpec) -> Any:
    return keeping(blaming(base)) if spec.failed == KEEP else blaming(base)
