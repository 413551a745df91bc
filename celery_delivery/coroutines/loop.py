"""The event loop of this process, in a thread of its own: one for all coroutines of tasks, from the first to the end.

So what a module keeps between tasks, such as a client or a lock, stays bound to a loop that runs.
"""

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

import celery
from celery import signals
from celery.exceptions import Reject
from celery.utils.log import get_logger

from celery_delivery import forks
from celery_delivery.coroutines.run import Run
from celery_delivery.coroutines.stacks import Scope, present
from celery_delivery.coroutines.watch import Watch

PATIENCE = 4.0  # seconds for what is left on the loop when the process ends
NAME = "event loop"

_log = get_logger(__name__)


class Loop:
    """An event loop and its thread."""

    def __init__(self) -> None:
        """Start the thread."""
        self.runs: set[Run] = set()  # the loop's own
        self.is_ending = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._turn, name=NAME, daemon=True)
        self._thread.start()
        self.watch = Watch(self.call, self._thread)

    def call(self, function: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        """Have the loop call a function soon; from any thread."""
        self._loop.call_soon_threadsafe(function, *args, context=context)

    def is_here(self) -> bool:
        """Say whether this is the loop's own thread."""
        return threading.current_thread() is self._thread

    def give_back(self, task_ids: frozenset[str]) -> None:
        """Cancel the runs of tasks, and take no more."""
        self.is_ending = True
        self.call(self._give_back, task_ids)

    def revoke(self, task_id: str, unless: Callable[[], object]) -> None:
        """Cancel the runs of a task that was revoked; call `unless`, on the loop, where there are none."""
        self.call(self._revoke, task_id, unless)

    def close(self) -> None:
        """End what is left on the loop, and the loop; what does not end in PATIENCE is left."""
        if self._thread.is_alive() and not self.is_here():
            self.is_ending = True
            self.call(lambda: self._loop.create_task(self._end()))
            self._thread.join(PATIENCE + 1)

    def _give_back(self, task_ids: frozenset[str]) -> None:
        for run in tuple(self.runs):
            if run.id in task_ids:
                run.give_back()

    def _revoke(self, task_id: str, unless: Callable[[], object]) -> None:
        found = [run for run in self.runs if run.id == task_id]
        for run in found:
            run.revoke()
        if not found:
            unless()

    def _turn(self) -> None:
        asyncio.set_event_loop(self._loop)
        while True:
            try:
                self._loop.run_forever()
            except BaseException:  # noqa: BLE001 - SystemExit of what a coroutine has created: it must not stop the others
                _log.critical("The event loop goes on after what should end the process", exc_info=True)
            else:
                self._loop.close()
                return

    async def _end(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for each in left:
            each.cancel()
        if left:
            _, stuck = await asyncio.wait(left, timeout=PATIENCE)
            for each in stuck:
                _log.warning("%s has not ended %g s after it was cancelled, and is left", each.get_name(), PATIENCE)
        await self._loop.shutdown_asyncgens()
        self._loop.stop()


def settle(task: celery.Task, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine of a task returns, or raise what it does; where the caller's own loop runs, return it to await.

    Called by a coroutine that runs eagerly, it has a loop for itself, while that one's stands still.
    """
    if _is_awaited(task):
        return _awaited(Scope(task), coroutine) if task.request.called_directly else coroutine
    loop = _present()
    if loop.is_ending:
        coroutine.close()
        raise Reject("its worker ends", requeue=True)
    if not loop.is_here():
        return Run(task, coroutine).result(loop)
    return _apart(task, coroutine)


def give_back(task_ids: frozenset[str]) -> None:
    """Cancel the runs of tasks on this process's loop, where it has one; called in a signal's handler."""
    if _loops:
        _loops[0].give_back(task_ids)


def revoke(task_id: str, unless: Callable[[], object]) -> bool:
    """Cancel the runs of a task that was revoked on this process's loop; return whether it has one, else nothing is done."""
    if _loops:
        _loops[0].revoke(task_id, unless)
    return bool(_loops)


def _is_awaited(task: celery.Task) -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    scope = present.get()
    return bool(task.request.called_directly) or (scope is not None and scope.request is task.request)


async def _awaited(scope: Scope, coroutine: Coroutine[Any, Any, Any]) -> Any:
    token = scope.enter()
    try:
        return await coroutine
    finally:
        scope.leave()
        present.reset(token)


def _apart(task: celery.Task, coroutine: Coroutine[Any, Any, Any]) -> Any:
    run = Run(task, coroutine)
    loop = Loop()
    try:
        return run.result(loop)
    finally:
        loop.close()


_loops: list[Loop] = []  # one, or none yet
_starting = threading.Lock()


def _present() -> Loop:
    if not _loops:
        with _starting:
            if not _loops:
                forks.let_go_in_children(_forget)
                atexit.register(_close)
                signals.worker_process_shutdown.connect(_close, weak=False)
                _loops.append(Loop())
    return _loops[0]


def _close(**_: object) -> None:
    if _loops:
        _loops[0].close()


def _forget() -> None:
    """Leave the parent's loop to it: here it has no thread."""
    global _starting  # noqa: PLW0603 - another thread of the parent may hold it
    _starting = threading.Lock()
    _loops.clear()
