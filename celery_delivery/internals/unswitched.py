"""What is leaned on beside the mends, by an agent's worker and by `testing`: nothing of it can be off."""

from celery_delivery.internals.mend import Mend

AGENT = Mend(
    "the agent's worker",
    (
        "billiard.util:_finalizer_registry",
        "billiard.util:_run_after_forkers",
        "billiard.util:get_pdeathsig",
        "billiard.einfo:ExceptionWithTraceback",
        "celery._state:get_current_task",
        "celery.worker.state:active_requests",
        "celery.worker.state:all_total_count",
        "celery.worker.request:Request.on_accepted",
        "celery.worker.request:Request.acknowledge",
        "celery.worker.request:Request.on_failure",
        "celery.worker.consumer.consumer:Consumer.on_ready",
        "celery.apps.worker:Worker.install_platform_tweaks",
        "celery.concurrency.asynpool:AsynPool.on_process_alive._fileno_to_inq",
        "celery.concurrency.asynpool:AsynPool.Worker.on_loop_start",
        "celery.concurrency.asynpool:AsynPool.TimeoutHandler._trywaitkill",
        "celery.concurrency.asynpool:AsynPool.terminate_job",
        "celery.concurrency.asynpool:AsynPool._process_by_pid",
        "billiard.process:_set_current_process._mproc",
        "billiard.process:BaseProcess.daemon._config",
        "billiard.process:BaseProcess.authkey._config",
        "celery.concurrency:get_implementation",
        "celery.worker.components:Pool.create.initargs",
    ),
    "a worker can't tell what it does",
)

TESTING = Mend(
    "the stub broker",
    (
        "celery.app.base:Celery.backend",
        "celery.app.base:Celery._acquire_producer.producer_pool since 5.7",
        "celery.app.base:Celery.producer_or_acquire.producer_pool before 5.7",
        "celery.app.trace:trace_task.__trace__",
        "celery.app.trace:trace_task_ret.app",
        "celery.backends.base:KeyValueStoreBackend",
        "celery.backends.base:SyncBackendMixin.wait_for",
        "celery.worker.request:Request.execute_using_pool.callback",
        "celery.worker.state:successful_requests",
        "billiard.einfo:ExceptionWithTraceback",
    ),
    "tests need a broker",
)
