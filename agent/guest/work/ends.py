"""How each task of a worker ends, as its requests are told: counted once for each run, before the broker hears of it.

    a run ends                                           counts as
    ---------------------------------------------------  ------------------------------------------------
    with a result                                        SUCCEEDED
    by an exception, `Reject`, a time limit, or the end  FAILED, where its message is not given back
    of its process
    by `retry()`                                         RETRIED; the next run counts for itself
    by `Ignore`; given back to be delivered again        nothing
    by a revocation, or was never begun for one, or      REVOKED
    since its time was over

A worker that is killed after the count and before the ack has counted a task that is run again, and counts again, as
both runs have ended. What was acked is counted in any case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import Terminated, TimeLimitExceeded
from celery.exceptions import Ignore, Retry
from celery.worker.request import Request

from ..scoreboard import ActiveTask

SUCCEEDED, FAILED, RETRIED, REVOKED = "succeeded", "failed", "retried", "revoked"


class Account(Protocol):
    """Who is told; `limit` are seconds that a task may run of which neither its class nor its message says it."""

    limit: float | None

    def started(self) -> None:
        """Note that a task has started."""

    def ended(self, how: str | None) -> None:
        """Note that a task has ended, and how; None where that does not count."""


def accounted_request(base: type[Request], account: Account) -> type[Request]:
    """Return a Request class that tells the account about the start and end of its task.

    `Task.Request` is Celery's public place for it; a class that the user has put there is built upon.
    """

    class AccountedRequest(base):
        active: ActiveTask  # what is said of it while it runs
        how: str | None = None  # it ends, as far as that is known and counts
        is_counted = False

        def __init_subclass__(cls, **options: Any) -> None:
            # Celery makes a class for each task, whose `on_success` calls none of this one.
            super().__init_subclass__(**options)
            if "on_success" in vars(cls):
                cls.on_success = _succeeding(vars(cls)["on_success"])

        def on_accepted(self, pid: int, time_accepted: float) -> None:
            limit = self.time_limits[0] or self.task.time_limit or account.limit  # as Celery gives it to the pool
            again = bool(self.delivery_info.get("redelivered"))
            self.active = ActiveTask(self.id, self.name, time_accepted, limit, again)
            super().on_accepted(pid, time_accepted)
            account.started()

        def acknowledge(self) -> None:
            self.count()
            super().acknowledge()

        def reject(self, requeue: bool = False) -> None:
            if requeue:
                self.how = None
            self.count()
            super().reject(requeue)

        def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
            self.how = self.end_by(_raised(exc_info))
            try:
                return super().on_failure(exc_info, *args, **kwargs)
            finally:
                if not self.is_counted:
                    self.end()

        def on_timeout(self, soft: bool, timeout: float) -> None:
            if soft:
                super().on_timeout(soft, timeout)
                return
            self.how = FAILED
            try:
                super().on_timeout(soft, timeout)
            finally:
                self.end()

        def _announce_revoked(self, *args: Any, **kwargs: Any) -> None:
            self.how = REVOKED
            try:
                super()._announce_revoked(*args, **kwargs)
            finally:
                self.end()

        def count(self) -> None:
            if self.how is not None and not self.is_counted:
                self.end()

        def end(self) -> None:
            how = None if self.is_counted else self.how
            self.is_counted = self.is_counted or how is not None
            account.ended(how)

        def end_by(self, raised: BaseException) -> str | None:
            match raised:
                case Retry():
                    return RETRIED
                case Ignore() | Terminated():
                    return None
                case TimeLimitExceeded() if not self.acknowledged:
                    return None  # the pool calls on_timeout next, which knows what becomes of it
                case SystemExit() | KeyboardInterrupt() if self._already_cancelled or self._already_revoked:
                    return None
                case _:
                    return FAILED

    return AccountedRequest


def _succeeding(on_success: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(self: Any, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        if failed__retval__runtime[0]:
            return on_success(self, failed__retval__runtime, **kwargs)  # which calls on_failure
        self.how = SUCCEEDED
        try:
            return on_success(self, failed__retval__runtime, **kwargs)
        finally:
            if not self.is_counted:
                self.end()

    return wrapped


def _raised(exc_info: Any) -> BaseException:
    """Return what the task itself raised; a pool child sends it wrapped."""
    exception: BaseException = exc_info.exception
    return exception.exc if isinstance(exception, ExceptionWithTraceback) else exception
