"""What a worker leans on."""

from celery_delivery.internals.mend import Mend

_CONSUMER = "celery.worker.consumer.consumer:Consumer"
_POOL = "celery.concurrency.asynpool:AsynPool"
_HUB = "kombu.asynchronous.hub:Hub"

READY_FIRST = Mend(
    "ready first",
    (f"{_CONSUMER}.register_with_event_loop", f"{_HUB}.poller", f"{_HUB}.call_soon._ready", f"{_HUB}.create_loop.poll"),
    "a solo worker with a small prefetch may wait with acks for seconds",
)
WAKE_ON_SIGNAL = Mend(
    "wake on signal",
    (
        f"{_CONSUMER}.register_with_event_loop",
        f"{_HUB}.add_reader",
        f"{_HUB}.call_soon",
        f"{_HUB}._create_waker since 5.7",
    ),
    "an idle worker may take seconds to see a signal",
)
WHOLE_WRITES = Mend(
    "whole writes",
    (
        f"{_CONSUMER}.ensure_connected",
        "amqp.connection:Connection.frame_writer",
        "amqp.connection:Connection.send_heartbeat.frame_writer",
        "amqp.abstract_channel:AbstractChannel.send_method.frame_writer",
        f"{_HUB}.create_loop.on_tick",
        "celery.concurrency.prefork:TaskPool.on_start._pool",
        f"{_POOL}._create_write_handlers._active_writers",
        f"{_POOL}.flush._active_writers",
    ),
    "SIGQUIT may leave a worker waiting for itself",
)
HEART = Mend(
    "heart",
    (
        "celery.concurrency.solo:TaskPool",
        "kombu.connection:Connection.supports_heartbeats",
        "amqp.connection:Connection.send_heartbeat",
        "amqp.connection:Connection.heartbeat_tick.heartbeat",
    ),
    "a task of the solo pool that is longer than two heartbeats may run twice",
)
DRAIN = Mend(
    "drain",
    (
        "celery.concurrency.thread:TaskPool.on_stop.executor",
        "celery.concurrency.base:BasePool.stop.on_stop",
        f"{_HUB}._pop_ready",
        f"{_HUB}.on_callback_error",
        "celery.concurrency.prefork:TaskPool.on_stop._pool",
        "celery.concurrency.prefork:TaskPool.on_stop._state",
        "amqp.connection:Connection.send_heartbeat",
        "kombu.connection:Connection.connected",
        "kombu.connection:Connection.supports_heartbeats",
        f"{_HUB}.fire_timers",
    ),
    "what a worker runs while it stops may run twice, if it stops for longer than two heartbeats",
)
SHORT_PAUSES = Mend(
    "short pauses",
    (f"{_CONSUMER}.ensure_connected.ensure_connection", "kombu.connection:Connection.ensure_connection"),
    "a worker may be without a consumer for half a minute after its broker is back",
)
NO_DELAYED_DELIVERY = Mend(
    "no delayed delivery",
    ("celery.worker.consumer.delayed_delivery:DelayedDelivery", f"{_CONSUMER}.Blueprint.default_steps"),
    "a worker declares 28 queues that it does not need at each connection",
)
DEAD_LETTERS = Mend(
    "dead letters",
    (
        f"{_CONSUMER}.create_task_handler",
        f"{_CONSUMER}.on_decode_error",
        f"{_CONSUMER}.on_invalid_task",
        f"{_CONSUMER}.on_unknown_task",
        f"{_CONSUMER}.__init__.timer",
        f"{_CONSUMER}.loop_args.task_consumer",
        "amqp.abstract_channel:AbstractChannel.dispatch_method.auto_decode",
        "amqp.serialization:dumps",
        "celery.concurrency.base:BasePool.__init__.options",
        "celery.utils.objects:Bunch",
        "celery.utils.time:maybe_iso8601",
        "celery.utils.time:maybe_make_aware",
        "celery.worker.request:Request.__init__.timelimit",
        "celery.worker.strategy:hybrid_to_proto2.timelimit",
        "celery.backends.base:Backend.mark_as_failure",
        "kombu.asynchronous.timer:Timer.call_after",
        "kombu.message:Message.__init__.errors",
        "kombu.message:Message.ack_log_error",
        "kombu.message:Message.reject_log_error",
    ),
    "messages that no task can be made of are acked and gone, or end the worker; the limits of others win over the worker's",
)
FRAMES = Mend(
    "frames",
    (
        f"{_CONSUMER}.ensure_connected",
        "amqp.connection:Connection.__init__.frame_handler",
        "amqp.method_framing:frame_handler.callback",
        "amqp.serialization:decode_properties_basic",
        "amqp.serialization:dumps",
        "amqp.spec:Basic.Deliver",
        "kombu.connection:Connection.transport_options",
        "kombu.transport.pyamqp:Transport.establish_connection.transport_options",
    ),
    "a message whose properties can't be decoded may end its worker, again and again",
)
STARTS = Mend(
    "starts",
    (
        f"{_CONSUMER}.__init__.on_task_request",
        "celery.concurrency.prefork:TaskPool.uses_semaphore",
        "celery.worker.components:Pool.create._process_task_sem",
        "celery.worker.request:Request.on_accepted.time_start",
        "celery.worker.request:Request.reject.acknowledged",
        "celery.worker.state:task_ready",
        "celery.worker.worker:WorkController._process_task._quick_release",
        "celery.worker.worker:WorkController._process_task_sem._process_task",
    ),
    "a task that can't be given to the pool may end its worker, again and again, or keep a place in the pool for good",
)
HOOKS = Mend(
    "hooks",
    (
        "billiard.common:_should_have_exited",
        "celery.app.task:Context.called_directly",
        "celery.app.task:Task.before_start",
        "celery.app.task:Task.on_success",
        "celery.app.task:Task.on_failure",
        "celery.app.task:Task.on_retry",
        "celery.app.task:Task.after_return",
        "celery.app.task:Task.retry.override_max_retries",
        "celery.app.task:Task.replace",
    ),
    "a task or hook that raises what is no Exception, such as SystemExit, may end its worker, or keep its place for good",
)
RETRIES = Mend(
    "retries",
    (
        "celery.app.amqp:AMQP._create_task_sender",
        "celery.app.amqp:AMQP._retry_publish since 5.7",
        "celery.app.task:Task.retry.apply_async",
        "celery.app.task:Task.retry.requeue",
    ),
    "a task whose retry can't be sent becomes a dead letter, whatever the reason; a chain may end while the broker is away",
)
OUTCOMES = Mend(
    "plain outcomes",
    (
        "billiard.common:_should_have_exited",
        "billiard.einfo:ExceptionInfo.__init__.traceback",
        "billiard.einfo:ExceptionWithTraceback.__init__.exc",
        "celery.app.trace:fast_trace_task",
        "celery.app.trace:trace_task_ret",
        "celery.backends.base:Backend.mark_as_failure.store_result",
        "celery.concurrency.thread:TaskPool.on_apply.executor",
        "celery.worker.request:Request.revoked",
        "celery.worker.request:create_request_cls.apply_async",
        "celery.worker.state:should_stop",
        "celery.worker.state:should_terminate",
    ),
    "a task whose error can't be read by the worker's main process, a MemoryError among them, may stop its queue",
)
REDELIVERIES = Mend(
    "redeliveries",
    (
        f"{_CONSUMER}.create_task_handler.call_soon_ack since 5.7",
        f"{_CONSUMER}.create_task_handler.call_soon before 5.7",
        f"{_CONSUMER}.create_task_handler.ack_log_error",
        f"{_CONSUMER}.create_task_handler.reject_log_error",
        f"{_CONSUMER}.__init__.on_task_request",
        f"{_CONSUMER}.__init__.initial_prefetch_count",
        "celery.worker.request:Request.message",
        "celery.worker.request:Request.on_accepted.time_start",
        "celery.worker.request:Request.execute_using_pool._apply_result",
        "celery.worker.state:active_requests",
        "celery.worker.state:task_reserved",
        "billiard.pool:ApplyResult.__init__._cache",
        "billiard.pool:ApplyResult.__init__._job",
        "kombu.message:Message.ack_log_error",
        "kombu.message:Message.reject_log_error",
    ),
    "what is delivered again after a lost connection runs again, perhaps beside its first run",
)
CERTAIN = Mend(
    "certain outcomes",
    (
        "celery.app.task:Task.Request",
        "celery.worker.request:Request._context",
        "celery.worker.request:Request.maybe_expire.expires",
        "celery.worker.request:Request.on_timeout.acks_on_timeout since 5.7",
        "celery.worker.request:Request.on_timeout.acks_on_failure_or_timeout before 5.7",
        "celery.worker.request:Request.reject.acknowledged",
        "celery.worker.request:Request.revoked",
        "celery.worker.request:create_request_cls.revoked",
        "celery.worker.state:task_ready",
        "celery.worker.worker:WorkController._process_task.TaskRevokedError",
    ),
    "nobody is told of a task that ends its process each time, and too soon of one that its time limit kills",
)
COROUTINES = Mend(
    "coroutines",
    (
        "celery._state:_task_stack._local.__ident_func__",
        "celery.app.autoretry:add_autoretry_behaviour._orig_run",
        "celery.app.task:Context.called_directly",
        "celery.app.task:Context.is_eager",
        "celery.app.task:Context.timelimit",
        "celery.app.task:Task.bind.request_stack",
        "celery.app.trace:build_tracer.run",
        "celery.utils.threads:_LocalStack.__ident_func__",
        "celery.utils.threads:_LocalStack.__release_local__",
    ),
    "the body of a task that is async def is never run",
)
SLOTS = Mend(
    "slots",
    ("celery.worker.worker:WorkController._process_task._quick_release",),
    "a prefork worker in which hundreds of tasks expire may end",
)
COLD_SHUTDOWN = Mend(
    "cold shutdown",
    (
        f"{_CONSUMER}.cancel_active_requests since 5.6",
        f"{_CONSUMER}.cancel_all_unacked_requests before 5.6",
        "celery.concurrency.base:BasePool.terminate_job",
        "celery.concurrency.solo:TaskPool",
        "celery.worker.state:active_requests",
        "celery.worker.state:should_terminate",
    ),
    "SIGQUIT makes the task of a solo worker fail, and it is acked",
)
LOST_CONNECTION = Mend(
    "lost connection",
    (
        f"{_CONSUMER}.on_connection_error_after_connected",
        f"{_CONSUMER}.on_connection_error_before_connected",
        "celery.worker.consumer.consumer:TERMINATING_TASK_ON_RESTART_AFTER_A_CONNECTION_LOSS",
        "celery.concurrency.base:BasePool.terminate_job",
        "celery.worker.state:active_requests",
        "celery.worker.request:Request.cancel._announce_cancelled",
        "celery.worker.request:Request._announce_cancelled._already_cancelled",
        "celery.worker.request:Request.acknowledge.acknowledged",
    ),
    "a worker may take 10 s more to connect again for each task that it runs; before Celery 5.7 one of threads ends",
)
REVOKED = Mend(
    "revoked",
    (
        "amqp.channel:Channel.basic_consume.callbacks",
        f"{_CONSUMER}.Blueprint.default_steps",
        "celery.worker.request:Request.revoked.revoked_tasks",
        "celery.worker.request:Request.terminate._announce_revoked",
        "celery.worker.state:requests",
        "celery.worker.state:active_requests",
        "celery.worker.state:revoked.add",
        "celery.worker.state:revoked.expires",
        "celery.worker.state:revoked.maxlen",
        "celery.worker.strategy:default.revoked",
    ),
    "tasks that were revoked are run",
)
