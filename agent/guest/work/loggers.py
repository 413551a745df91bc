"""The loggers of Celery and of the agent, which a project's logging set-up has silenced.

`logging.config` disables each logger that is there and that it does not name, unless it is told not to. Under `celery worker`
those of the worker come after the project; the template has made them before, and a worker would say nothing, not even why
it ends.
"""

from __future__ import annotations

import logging

_PACKAGES = ("celery", "kombu", "billiard", "amqp", "vine", "celery_delivery", __name__.partition(".")[0])
_own = logging.getLogger(__name__)


def enable() -> None:
    """Have them speak again, where a set-up has silenced what it did not name: this module's own is such a one."""
    if not _own.disabled:
        return  # without a look at the others: it would make the pages that they lie on the worker's own
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in _PACKAGES:
            logger.disabled = False
