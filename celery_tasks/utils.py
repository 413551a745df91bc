"""`create_worker_from`: a Celery app, and the task in it, for a task class."""

from typing import TypeVar

import celery

from celery_delivery.apps import create_app_from

Task = TypeVar("Task", bound=celery.Task)


def create_worker_from(
    WorkerClass: type[Task], celery_config: str = "celery_tasks.celery_config"
) -> tuple[celery.Celery, Task]:
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
    app = create_app_from([WorkerClass], celery_config, contracts=__package__)
    return app, app.tasks[WorkerClass.name]
