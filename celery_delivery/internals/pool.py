"""What a worker leans on in Celery's pool of processes."""

from celery_delivery.internals.mend import Mend

_POOL = "celery.concurrency.asynpool:AsynPool"

PATIENT_POOL = Mend(
    "patient pool",
    (
        "celery.concurrency.prefork:TaskPool.Pool",
        f"{_POOL}.flush._accepted",
        f"{_POOL}.flush._cache",
        f"{_POOL}.flush._write_to",
        f"{_POOL}.flush.outbound_buffer",
        f"{_POOL}._create_write_handlers._payload",
        "billiard.pool:ApplyResult.__init__._job",
        "billiard.pool:ApplyResult.__init__._worker_pid",
        "billiard.pool:ApplyResult.discard",
        "billiard.pool:ApplyResult.ready",
        "billiard.pool:Pool.__init__._pool",
        "billiard.pool:Pool.__init__._state",
        "billiard.pool:RUN",
        "billiard.process:BaseProcess._is_alive",
    ),
    "a task that has ended may run again when its worker stops or loses its connection",
)
ENDED_CHILDREN = Mend(
    "ended children",
    (
        f"{_POOL}.TimeoutHandler.on_soft_timeout",
        f"{_POOL}.TimeoutHandler.on_hard_timeout",
        f"{_POOL}.TimeoutHandler._process_by_pid",
        "billiard.pool:ApplyResult.__init__._worker_pid",
        "billiard.process:BaseProcess.exitcode",
    ),
    "a task whose process has ended by itself may be taken for one that has outlasted its time limit",
)
ENDING_CHILDREN = Mend(
    "ending children",
    (
        "celery.concurrency.prefork:TaskPool.Pool",
        f"{_POOL}._event_process_exit",
        f"{_POOL}._untrack_child_process._sentinel_poll",
        f"{_POOL}.maintain_pool",
        "kombu.asynchronous.hub:Hub.call_later",
    ),
    "a process of a pool that ends is replaced up to 5 s later",
)
