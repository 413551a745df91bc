"""Which backend the results of an app go to."""

from functools import cache
from typing import Any

from celery import Celery
from celery.app.backends import by_url
from celery.backends.rpc import RPCBackend
from celery.exceptions import ImproperlyConfigured

from celery_delivery import internals, mending
from celery_delivery.results.replies import replies
from celery_delivery.results.tolerant import Missing, Tolerant


def backend(app: Celery, url: str | None = None) -> Any:
    """Return the backend of an app's `result_backend`, as a tolerant one; named by `app.backend_cls`.

    Where a library is missing, or the store's own settings, one that loses each result and says why.
    """
    try:
        stock, url = by_url(app.conf.result_backend, app.loader)
        if stock is RPCBackend and mending.applies(internals.REPLIES):
            return replies(app, url)
        return _tolerant(stock)(app=app, url=url)
    except (ImportError, ImproperlyConfigured) as error:
        if not mending.applies(internals.TOLERANT):
            raise
        return Missing(app, error)


def uses_replies(app: Celery) -> bool:
    """Say whether results go through the broker, to whoever sent the task."""
    try:
        stock, _ = by_url(app.conf.result_backend, app.loader)
    except ImportError:
        return False
    return stock is RPCBackend


@cache
def _tolerant(stock: Any) -> Any:
    return type(stock.__name__, (Tolerant, stock), {})
