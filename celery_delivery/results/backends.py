"""Which backend the results of an app go to."""

import logging
from functools import cache
from typing import Any

from celery import Celery
from celery.app.backends import by_url
from celery.backends.asynchronous import AsyncBackendMixin
from celery.backends.base import logger as stock_log
from celery.backends.rpc import RPCBackend

from celery_delivery import internals, mending
from celery_delivery.results.exceptions import Faithful
from celery_delivery.results.on_demand import on_demand
from celery_delivery.results.replies import replies
from celery_delivery.results.sequels import Sequels
from celery_delivery.results.tolerant import Missing, Store
from celery_delivery.results.unreached import Unreached


def backend(app: Celery, url: str | None = None) -> Any:
    """Return the backend of an app's `result_backend`, as a tolerant one; named by `app.backend_cls`.

    Where a library is missing, or the store's settings are wrong, one that loses each result and says why.
    """
    try:
        stock, url = by_url(app.conf.result_backend, app.loader)
        if stock is RPCBackend and mending.applies(internals.client.REPLIES):
            return replies(app, url)
        return _tolerant(stock)(app=app, url=url)
    except Exception as error:  # a library's, a store's, or of what a plug-in has
        if not mending.applies(internals.client.TOLERANT):
            raise
        return Missing(app, error)


def stock_backend(app: Celery, url: str | None = None) -> Any:
    """Return Celery's own backend of an app's `result_backend`, for exceptions and errbacks as they were."""
    stock, url = by_url(app.conf.result_backend, app.loader)
    return _faithful(stock)(app=app, url=url)


@cache
def _faithful(stock: Any) -> Any:
    return type(stock.__name__, (Faithful, Sequels, stock), {})


def uses_replies(app: Celery) -> bool:
    """Say whether results go through the broker, to whoever sent the task."""
    try:
        stock, _ = by_url(app.conf.result_backend, app.loader)
    except ImportError:
        return False
    return stock is RPCBackend


@cache
def _tolerant(stock: Any) -> Any:
    if issubclass(stock, AsyncBackendMixin) and stock is not RPCBackend and mending.applies(internals.client.ON_DEMAND):
        stock = on_demand(stock)
    stock_log.addFilter(_without_traceback)
    return type(stock.__name__, (Store, Unreached, Sequels, stock), {})


def _without_traceback(record: logging.LogRecord) -> bool:
    """Leave of each attempt that comes to nothing the line; that of the last one has the reason."""
    if str(record.msg).startswith("Failed operation"):
        record.exc_info = None
    return True
