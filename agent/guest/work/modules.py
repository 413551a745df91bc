"""The modules that a template imports before any of the operator's, in their order."""

from __future__ import annotations

from importlib.util import find_spec

# With what they import: what `celery worker` has imported when it comes to the application. See `replacements`.
FIRST = (
    "celery.app.builtins",
    "celery.app.trace",
    "celery.concurrency.prefork",
    "celery.concurrency.solo",
    "celery.concurrency.thread",
    "celery.worker.control",
    "celery.worker.worker",
)
# What a worker imports on its way to the first task, as seen in sys.modules of a running one. Imported after the fork,
# these cost each worker 13 MB of its own memory instead of 1.4 MB.
MODULES = (
    "celery.app.amqp",
    "celery.app.autoretry",
    "celery.app.control",
    "celery.app.events",
    "celery.app.log",
    "celery.apps.worker",
    "celery.backends.rpc",
    "celery.canvas",
    "celery.contrib.rdb",
    "celery.events.dispatcher",
    "celery.events.state",
    "celery.fixups.django",
    "celery.loaders.app",
    "celery.utils.dispatch.signal",
    "celery.utils.term",
    "celery.worker.autoscale",
    "celery.worker.consumer",
    "celery.worker.consumer.delayed_delivery",
    "celery.worker.loops",
    "celery.worker.pidbox",
    "celery.worker.strategy",
    "billiard.heap",
    "billiard.popen_fork",
    "billiard.resource_sharer",
    "billiard.sharedctypes",
    "billiard.synchronize",
    "concurrent.futures.thread",
    "encodings.idna",
    "kombu.asynchronous.hub",
    "kombu.mixins",
    "kombu.pidbox",
    "kombu.serialization",
    "kombu.transport.pyamqp",
    "logging.handlers",
    "multiprocessing.util",
    *(["tzlocal"] if find_spec("tzlocal") else []),  # Celery needs it since 5.6
)
# Of the library: what a worker's settings name.
SHARED = (
    "celery_delivery.apps",
    "celery_delivery.sending.control",
    "celery_delivery.worker.consumer",
    "celery_delivery.worker.pool",
    "celery_delivery.worker.requests",
)
