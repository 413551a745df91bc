"""Celery apps for task classes: `create_worker_from` for one, `create_app_from` for several that share a queue."""

from collections.abc import Sequence

import celery

from celery_tasks.contract import argument_check, implementation_of, is_contract, unimplemented
from celery_tasks.delivery import is_safe, queue_settings
from celery_tasks.results import backend
from celery_tasks.sending import Sending


def create_worker_from(WorkerClass, celery_config="celery_tasks.celery_config"):
    """
    Create worker instance given WorkerClass
    :param WorkerClass: WorkerClass to perform task; for a contract, its implementation where this process has defined one
    :type WorkerClass: subclass of celery.Task
    :param celery_config: celery config module, default 'celery_tasks.celery_config'. This depends on
                            project path
    :type celery_config: str
    :return: celery app instance and worker task instance
    :rtype: tuple of (app, worker_task)
    :raises TypeError: WorkerClass is no task class with a name, or a contract with several implementations
    """
    app = create_app_from([WorkerClass], celery_config)
    return app, app.tasks[WorkerClass.name]


def create_app_from(
    WorkerClasses: Sequence[type[celery.Task]], celery_config: str = "celery_tasks.celery_config"
) -> celery.Celery:
    """Return an app that has these task classes, of one queue, and sends to that queue.

    Raises TypeError for what is no task class with a name, and for classes of different queues.
    """
    queues = {queue_of(each) for each in WorkerClasses}
    if len(queues) != 1:
        raise TypeError(
            f"an app has one queue, not {len(queues)}: {', '.join(sorted(queues)) or 'no task class was given'}"
        )
    app = App()
    app.config_from_object(celery_config)
    app.conf.update(queue_settings(app.conf, queues.pop()))
    if is_safe(app.conf):
        app.amqp_cls = Sending
        app.backend_cls = backend
    for each in WorkerClasses:
        app.register_task(_task(each))
    return app


class App(celery.Celery):
    """A Celery app that can be told to run a worker the way the article does it."""

    def worker_main(self, argv: Sequence[str] | None = None) -> None:
        """Run a worker with these arguments; since Celery 5 they must name the command, which is added where it's missing."""
        super().worker_main(argv if argv is None or "worker" in argv else ["worker", *argv])


def queue_of(WorkerClass: type[celery.Task]) -> str:
    """Return the queue of a task class: its name, unless it sets Celery's own `queue`, as classes that share one do.

    Raises TypeError for what is no task class with a name.
    """
    if not (isinstance(WorkerClass, type) and issubclass(WorkerClass, celery.Task)):
        raise TypeError(f"{WorkerClass!r} is no task class: pass a subclass of celery.Task")
    if not isinstance(WorkerClass.name, str) or not WorkerClass.name:
        raise TypeError(f"{WorkerClass.__module__}:{WorkerClass.__qualname__} has no name: set `name` in the class")
    return getattr(WorkerClass, "queue", None) or WorkerClass.name


def _task(WorkerClass: type[celery.Task]) -> celery.Task:
    """Return the task to register: implemented where it can be, its arguments checked before anything is sent."""
    contract = is_contract(WorkerClass)
    chosen = (implementation_of(WorkerClass) or unimplemented(WorkerClass)) if contract else WorkerClass
    task = chosen()
    task.__header__ = argument_check(WorkerClass)
    return task
