"""Which backend the results of an app go to."""

from functools import cache
from typing import Any

from celery import Celery
from celery.app.backends import by_url
from celery.backends.rpc import RPCBackend

from celery_delivery import internals, mending
from celery_delivery.results.replies import replies
from celery_delivery.results.tolerant import Tolerant


def backend(app: Celery, url: str | None = None) -> Any:
    """Return the backend of an app's `result_backend`, as a tolerant one; named by `app.backend_cls`."""
    stock, url = by_url(app.conf.result_backend, app.loader)
    if uses_replies(app) and mending.applies(internals.REPLIES):
        return replies(app, url)
    return _tolerant(stock)(app=app, url=url)


def uses_replies(app: Celery) -> bool:
    """Say whether results go through the broker, to whoever sent the task."""
    stock, _ = by_url(app.conf.result_backend, app.loader)
    return stock is RPCBackend


@cache
def _tolerant(stock: Any) -> Any:
    return type(stock.__name__, (Tolerant, stock), {})
