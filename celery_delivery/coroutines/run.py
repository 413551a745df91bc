"""One coroutine of a task: run on the loop, waited for by the thread that Celery gave the task to.

    what happens                        the coroutine gets                    the task
    ----------------------------------  ------------------------------------  ------------------------------------------
    soft time limit                     `SoftLimit`, a CancelledError and a   fails by SoftTimeLimitExceeded
                                        SoftTimeLimitExceeded at once
    hard time limit, threads and solo   CancelledError, again and again       given back where it is kept, else fails
    cold shutdown                       CancelledError                        given back where it is acked late
    a CancelledError of its own         -                                     fails by TaskExit

Each holds where the coroutine ends by it: one that catches it and returns has succeeded, as with functions.
"""

import asyncio
import os
import sys
import types
from _thread import allocate_lock
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import celery
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from celery.exceptions import Reject
from celery.utils.log import get_logger

from celery_delivery import forks
from celery_delivery.coroutines import hosting
from celery_delivery.coroutines.stacks import Scope
from celery_delivery.errors import TaskExit
from celery_delivery.settings.profile import acks_on_timeout, is_safe

PATIENCE = 4.0  # seconds for a coroutine to end in where a signal ends the process; the agent kills it after 5
TURN = 5.0  # seconds after which those who wait look whether the loop still turns
AGAIN = 5.0  # seconds after which a coroutine that goes on past its hard limit is cancelled once more

_log = get_logger(__name__)


class SoftLimit(asyncio.CancelledError, SoftTimeLimitExceeded):
    """The soft time limit is over: for asyncio a cancellation, for a task what it catches as a function would."""


class Run:
    """A coroutine from its start to its end."""

    def __init__(self, task: celery.Task, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Take what the present thread runs."""
        self.task = task
        self.scope = Scope(task)
        self.id = str(self.scope.request.id)
        self._coroutine = coroutine
        # Released at the end; a wait for it can be left by a signal's exception at any time.
        self._over = allocate_lock()
        self._over.acquire()
        self._is_over = False
        self._job: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._limit: SoftLimit | None = None  # to be raised in place of the next CancelledError
        self._expired: float | None = None  # the hard limit, once it is over
        self._is_given_back = False
        self._is_revoked = False
        self._value: Any = None
        self._error: BaseException | None = None

    def __str__(self) -> str:
        return f"{self.task.name}[{self.id}]"

    def result(self, loop: Any) -> Any:
        """Run on a loop; return what the coroutine returns, or raise what it does, or why it was ended."""
        context = copy_context()
        context.run(self.scope.enter)
        loop.call(self._start, loop, context=context)
        try:
            self._wait(loop)
            return self._outcome()
        finally:
            del self._error  # with its traceback it holds this frame

    def give_back(self) -> None:
        """Cancel it, as the process ends; called by the loop."""
        self._is_given_back = True
        self._cancel()

    def revoke(self) -> None:
        """Cancel it, as nobody wants it any more; called by the loop."""
        _log.warning("%s is revoked: its coroutine is cancelled", self)
        self._is_revoked = True
        self._cancel()

    def _start(self, loop: Any) -> None:
        self._job = asyncio.get_running_loop().create_task(self._whole(), name=str(self))
        self._job.add_done_callback(lambda _job: self._end(loop))
        loop.runs.add(self)
        request = self.scope.request
        if hosting.limits_are_enforced() and not (request.called_directly or request.is_eager):
            self._set_limits()

    async def _whole(self) -> None:
        try:
            self._value = await self._driven()
        except BaseException as error:  # noqa: BLE001 - what is no Exception would end the loop
            self._error = error

    @types.coroutine
    def _driven(self) -> Generator[Any, Any, Any]:
        process, step, given = os.getpid(), self._coroutine.send, None
        while True:
            try:
                awaited = step(given)
            except StopIteration as end:
                if os.getpid() != process:
                    forks.end(None)
                return end.value
            except BaseException as error:
                if os.getpid() != process:
                    forks.end(error)
                raise
            if os.getpid() != process:  # of `os.fork` in the coroutine: the other coroutines are not the child's
                forks.end(None)
            try:
                given = yield awaited
                step = self._coroutine.send
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                step, given = self._coroutine.throw, self._meant(error)

    def _meant(self, error: BaseException) -> BaseException:
        if self._limit is None or self._job is None or not isinstance(error, asyncio.CancelledError):
            return error
        limit, self._limit = self._limit, None
        self._job.uncancel()  # whoever catches it goes on, and may use asyncio.timeout
        return limit

    def _end(self, loop: Any) -> None:
        job = self._job
        if job is not None and job.cancelled():  # before its first step
            self._coroutine.close()
            self._error = self._limit or asyncio.CancelledError()
        for timer in self._timers:
            timer.cancel()
        for stream in (sys.stdout, sys.stderr):  # what was written without a newline ends with its task
            with suppress(Exception):
                stream.flush()
        loop.runs.discard(self)
        self.scope.leave()
        self._is_over = True
        self._over.release()

    def _wait(self, loop: Any) -> None:
        while not self._is_over:
            try:
                if not self._over.acquire(timeout=TURN):
                    loop.watch.look()
            except SoftTimeLimitExceeded:  # of a prefork pool's process
                loop.call(self._limit_softly)
            except BaseException:  # a signal's handler wants the process to end
                loop.call(self._cancel)
                if not self._is_over and not self._over.acquire(timeout=PATIENCE):
                    _log.warning("%s has not ended %g s after it was cancelled, and is left", self, PATIENCE)
                raise

    def _outcome(self) -> Any:
        error = self._error
        if error is None:
            return self._value
        if isinstance(error, SoftLimit):
            raise SoftTimeLimitExceeded(*error.args).with_traceback(error.__traceback__)
        if isinstance(error, asyncio.CancelledError) and not self.scope.request.called_directly:
            raise self._why(error) from error
        raise error

    def _why(self, error: asyncio.CancelledError) -> Exception:
        """Return what stands for a cancellation, which is no Exception, in the eyes of Celery."""
        if self._is_revoked:
            return hosting.Terminated()
        if self._is_given_back and self.task.acks_late:
            ended: Exception = Reject("its worker ends, and has cancelled it", requeue=True)
            return ended
        if self._expired is None:
            return TaskExit(repr(error))
        limit = TimeLimitExceeded(self._expired)
        is_kept = self.task.acks_late and not acks_on_timeout(self.task) and is_safe(self.task.app.conf)
        why: Exception = Reject(limit, requeue=True) if is_kept else limit
        return why

    def _set_limits(self) -> None:
        asked = self.scope.request.timelimit or (None, None)
        hard, soft = asked[0] or self.task.time_limit, asked[1] or self.task.soft_time_limit
        after = asyncio.get_running_loop().call_later
        if soft:
            self._timers.append(after(soft, self._limit_softly))
        if hard:
            self._timers.append(after(hard, self._expire, hard))

    def _limit_softly(self) -> None:
        _log.warning("Soft time limit exceeded for %s", self)
        self._limit = SoftLimit()
        self._cancel()

    def _expire(self, limit: float) -> None:
        say: Callable[..., None] = _log.error if self._expired is None else _log.warning
        say("Hard time limit (%ss) exceeded for %s: it is cancelled", limit, self)
        self._expired, self._limit = limit, None
        self._cancel()
        self._timers.append(asyncio.get_running_loop().call_later(AGAIN, self._expire, limit))

    def _cancel(self) -> None:
        if self._job is not None:
            self._job.cancel()
