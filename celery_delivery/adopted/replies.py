"""Results by `rpc://` of an app that was made by others: Celery's own, whose queue is declared with the task, in bounded time.

Stock Celery declares it before each task, and waits for a broker that is away for ever.
"""

from typing import Any

from celery.app.backends import by_url
from celery.backends.rpc import RPCBackend

from celery_delivery.sending.producer import Producer


def backend(app: Any, url: str | None = None) -> Any:
    """Return the backend of an app's `result_backend`; named by `app.backend_cls`."""
    stock, url = by_url(app.conf.result_backend, app.loader)
    return (Replies if stock is RPCBackend else stock)(app=app, url=url)


class Replies(RPCBackend):
    """Celery's backend for results that come through the broker."""

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Have the queue for results declared with the task."""
        if isinstance(producer, Producer):
            producer.expect_replies(self)
        else:
            super().on_task_call(producer, task_id)

    def expects(self, queue: str | None) -> bool:
        """Say whether a queue is that of this thread."""
        return queue == str(self.oid)

    def renew(self, _name: str) -> None:
        """Keep the queue: Celery waits for results by its name."""

    def goes_without(self) -> bool:
        """Say that a task is not sent where its result can't come back."""
        return False
