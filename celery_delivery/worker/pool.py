"""Celery's prefork pool with a time limit, and some faults mended; in use through the setting `worker_pool`.

A connection is lost, or a worker stops, while a child holds a task whose start the main process has not read yet: stock
`flush` forgets the task. Its result is never read, so it is not acked and runs again (1 stop in 14), and the child waits
30 s for its result to be taken (TERM lasted 32 s; with this 1.8 to 2.8 s, 20 times of 20).

Celery 5.5 forgets those that have started, too, where it writes nothing at that moment; else it keeps those that wait.

A child has ended by then, and the pool has not seen it yet: stock 5.7 forgets its task first. So what it told of the task is
not read, and its pipe goes to the next child, which runs a task that lay there unread, beside the one that comes again.

With another release of Celery look whether `AsynPool.flush` still discards jobs that are not `_accepted` though `_write_to`
names a child. `tests/integration/test_pool.py` shows the fault.

A child ends by itself, and its task's time limit passes before the pool looks for children that have ended, as it does every
5 s: stock takes it for a task that has outlasted its limit. With `acks_on_timeout` it is acked, and not run again.

A child that ends is seen to end before the kernel has its exit status: it closes its files first. Stock looks for the
status at once, has none on a busy machine, and looks again after up to 5 s. With one process the queue stands still so long.

A task can't be written to a child, as where its arguments are nested too deeply: stock keeps it for good, with all it has.

Each is off where `celery_delivery.internals` says so.
"""

from typing import Any

from billiard.pool import RUN
from celery.concurrency.prefork import TaskPool as StockTaskPool

from celery_delivery import internals, mending

# Seconds for a task that has no limit of its own, whose worker has none either. A task that hangs keeps its place for good;
# this alone clears it. It is below the broker's consumer_timeout of 30 minutes: past that the broker closes the channel, and
# the task runs again all the same. It is no setting (`task_time_limit`), which a producer would send along with each task:
# there it holds, too, where a node allows more.
TIME_LIMIT = 1500.0


# Seconds until it is looked again whether a child has ended whose files are closed; each pause is twice the one before.
SOON = 0.01
LONGEST = 5.0  # what is left to the pool's own looks: a child that has closed its files, and lives


class TimeoutHandler(StockTaskPool.Pool.TimeoutHandler):
    """What ends tasks at their limits, but leaves those whose child has ended to the pool, which gives them back."""

    @mending.where(internals.pool.ENDED_CHILDREN)
    def on_soft_timeout(self, job: Any) -> None:
        """Have the task raise, where its child still runs."""
        if not self._has_ended(job):
            super().on_soft_timeout(job)

    @mending.where(internals.pool.ENDED_CHILDREN)
    def on_hard_timeout(self, job: Any) -> None:
        """End the task, where its child still runs."""
        if not self._has_ended(job):
            super().on_hard_timeout(job)

    def _has_ended(self, job: Any) -> bool:
        """Say whether the pool is still to find that the task's child has ended."""
        child, _ = self._process_by_pid(job._worker_pid)
        return child is not None and child.exitcode is not None


class PatientPool(StockTaskPool.Pool):
    """The pool behind the pool, which remembers what its children have."""

    TimeoutHandler = TimeoutHandler

    @mending.where(internals.pool.ENDING_CHILDREN)
    def _event_process_exit(self, hub: Any, proc: Any, pause: float = SOON) -> None:
        """Replace a child that ends; look again soon where it has not quite ended."""
        super()._event_process_exit(hub, proc)
        if proc in self._pool and pause < LONGEST:
            hub.call_later(pause, self._event_process_exit, hub, proc, 2 * pause)

    @mending.where(internals.pool.PATIENT_POOL)
    def apply_async(self, *args: Any, **options: Any) -> Any:
        """Give a task to a child; raises where it can't be written, and forgets it."""
        try:
            return super().apply_async(*args, **options)
        except Exception:
            newest = self._cache.get(max(self._cache, default=0))
            if not hasattr(newest, "_payload"):
                self._cache.pop(getattr(newest, "_job", None), None)
            raise

    @mending.where(internals.pool.PATIENT_POOL)
    def flush(self) -> None:
        """Forget the tasks that no child has; the broker delivers them again."""
        given = [(job, job._write_to) for job in tuple(self._cache.values()) if self._is_given(job)]
        unread = [job for job, _ in given if not job._accepted]
        for job in unread:
            job._accepted = True
        try:
            super().flush()
        finally:
            for job in unread:
                if job._worker_pid is None:  # nor was its start read meanwhile
                    job._accepted = False
            held = {job for job, child in given if not job.ready() and self._keeps_its_task(child)}
            for job in held:
                self._cache.setdefault(job._job, job)
            for job in tuple(self._cache.values()):
                if not job._accepted and job not in held:
                    job.discard()

    def _is_given(self, job: Any) -> bool:
        """Say whether a task, or a part of it, was written to a child, be it one that has ended.

        What waits for another child, since its own has ended, is in the buffer again.
        """
        return job._write_to is not None and job not in self.outbound_buffer

    def _keeps_its_task(self, child: Any) -> bool:
        """Say whether a child lives, or the pool is still to see that it has ended, and to give its task to another.

        A pool that stops gives nothing to another.
        """
        return child._is_alive() or (self._state == RUN and child in self._pool)


def is_held(request: Any) -> bool:
    """Say whether a pool that was flushed holds a task, since a process has it."""
    job = request._apply_result and request._apply_result()
    return job is not None and job._job in job._cache


class MendedPool(StockTaskPool):
    """Celery's pool of processes, mended."""

    Pool = PatientPool


class TaskPool(MendedPool):
    """Processes for tasks, with a limit on how long one may take."""

    def on_start(self) -> None:
        """Start the processes."""
        if self.options.get("timeout") is None:
            self.options["timeout"] = TIME_LIMIT
        super().on_start()
