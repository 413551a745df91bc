"""What this library leans on inside Celery, kombu, py-amqp and billiard, and on which of their releases it was measured.

Each mend names what it needs. Where one of its names is gone, or a package is of another release, the mend is off: the stock
behaviour stays, and the log says so once. Without those of REQUIRED less would be promised than was asked for, such as a
message sent unconfirmed: an app of the safe profile is refused instead.

A name is "module:path". Below a function it is a name that the function's code uses: attributes of instances are found so.
"""

from dataclasses import dataclass

# The releases that were measured, from the first to before the second; celery_delivery/pyproject.toml asks for the same.
MEASURED = {
    "celery": ((5, 7), (5, 8)),
    "kombu": ((5, 7), (5, 8)),
    "amqp": ((5, 4), (5, 5)),
    "billiard": ((4, 3), (4, 4)),
}

_CONSUMER = "celery.worker.consumer.consumer:Consumer"
_POOL = "celery.concurrency.asynpool:AsynPool"
_HUB = "kombu.asynchronous.hub:Hub"


@dataclass(frozen=True, slots=True, eq=False)  # each is itself: it is asked for at every call of a mended method
class Mend:
    """A fault that is mended.

    name: for people. names: what it needs. without: what happens where it is off.
    """

    name: str
    names: tuple[str, ...]
    without: str


READY_FIRST = Mend(
    "ready first",
    (f"{_CONSUMER}.register_with_event_loop", f"{_HUB}.poller", f"{_HUB}.call_soon._ready", f"{_HUB}.create_loop.poll"),
    "a solo worker with a small prefetch may wait with acks for seconds",
)
WAKE_ON_SIGNAL = Mend(
    "wake on signal",
    (f"{_CONSUMER}.register_with_event_loop", f"{_HUB}.add_reader"),
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
        "celery.concurrency.prefork:_run_ready_callbacks",
        f"{_HUB}.fire_timers",
    ),
    "what a worker of the threads pool runs while it stops may run twice, if it stops for longer than two heartbeats",
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
        "celery.utils.objects:Bunch",
        "celery.backends.base:Backend.mark_as_failure",
        "kombu.message:Message.reject_log_error",
    ),
    "messages that no task can be made of are acked and gone, or end the worker",
)
HOOKS = Mend(
    "hooks",
    (
        "billiard.common:terminate_handler_fired",
        "celery.app.task:Context.called_directly",
        "celery.app.task:Task.before_start",
        "celery.app.task:Task.on_success",
        "celery.app.task:Task.on_failure",
        "celery.app.task:Task.on_retry",
        "celery.app.task:Task.after_return",
        "celery.app.task:Task.retry.override_max_retries",
    ),
    "a task or hook that raises what is no Exception, such as SystemExit, may end its worker, or keep its place for good",
)
RETRIES = Mend(
    "retries",
    ("celery.app.task:Task.retry.apply_async", "celery.app.task:Task.retry.requeue"),
    "a task whose retry can't be sent becomes a dead letter, whatever the reason",
)
OUTCOMES = Mend(
    "plain outcomes",
    (
        "billiard.common:terminate_handler_fired",
        "billiard.einfo:ExceptionInfo.__init__.traceback",
        "billiard.einfo:ExceptionWithTraceback.__init__.exc",
        "celery.app.task:get_actual_ignore_result",
        "celery.app.trace:fast_trace_task",
        "celery.app.trace:trace_task_ret",
        "celery.backends.base:Backend.mark_as_failure.store_result",
        "celery.worker.request:create_request_cls.apply_async",
        "celery.worker.state:should_stop",
        "celery.worker.state:should_terminate",
    ),
    "a task whose error can't be read by the worker's main process, a MemoryError among them, may stop its queue",
)
REDELIVERIES = Mend(
    "redeliveries",
    (
        f"{_CONSUMER}.create_task_handler.call_soon_ack",
        f"{_CONSUMER}.create_task_handler.ack_log_error",
        f"{_CONSUMER}.create_task_handler.reject_log_error",
        f"{_CONSUMER}.__init__.on_task_request",
        f"{_CONSUMER}.__init__.initial_prefetch_count",
        "celery.worker.request:Request.message",
        "celery.worker.request:Request.on_accepted.time_start",
        "celery.worker.state:active_requests",
        "kombu.message:Message.ack_log_error",
        "kombu.message:Message.reject_log_error",
    ),
    "what is delivered again after a lost connection runs again, in threads beside its first run",
)
CERTAIN = Mend(
    "certain outcomes",
    (
        "celery.app.task:Task.Request",
        "celery.worker.request:Request._context",
        "celery.worker.request:Request.on_timeout.acks_on_timeout",
        "celery.worker.request:Request.reject.acknowledged",
        "celery.worker.request:Request.revoked",
        "celery.worker.request:create_request_cls.revoked",
        "celery.worker.state:task_ready",
        "celery.worker.worker:WorkController._process_task.TaskRevokedError",
    ),
    "nobody is told of a task that ends its process each time, and too soon of one that its time limit kills",
)
SLOTS = Mend(
    "slots",
    ("celery.worker.worker:WorkController._process_task._quick_release",),
    "a prefork worker in which hundreds of tasks expire may end",
)
COLD_SHUTDOWN = Mend(
    "cold shutdown",
    (
        f"{_CONSUMER}.cancel_active_requests",
        "celery.concurrency.base:BasePool.terminate_job",
        "celery.concurrency.solo:TaskPool",
        "celery.worker.state:active_requests",
    ),
    "SIGQUIT makes the task of a solo worker fail, and it is acked",
)
LOST_CONNECTION = Mend(
    "lost connection",
    (
        f"{_CONSUMER}.on_connection_error_after_connected",
        "celery.concurrency.base:BasePool.terminate_job",
        "celery.worker.state:active_requests",
        "celery.worker.request:Request.cancel.emit_retry",
        "celery.worker.request:Request.acknowledge.acknowledged",
    ),
    "a worker may take 10 s more to connect again for each task that it runs",
)
PATIENT_POOL = Mend(
    "patient pool",
    (
        "celery.concurrency.prefork:TaskPool.Pool",
        f"{_POOL}.flush._accepted",
        f"{_POOL}.flush._cache",
        f"{_POOL}.flush._write_to",
        "billiard.pool:ApplyResult.__init__._job",
    ),
    "a task that has ended may run again when its worker stops or loses its connection",
)
TLS = Mend(
    "TLS",
    ("kombu.transport.pyamqp:Transport.establish_connection.server_hostname", "kombu.connection:Connection.ssl"),
    "the second broker of a failover list is refused over TLS, and refusals are OpenSSL's own text",
)
REPLIES = Mend(
    "replies",
    (
        "celery._state:task_join_will_block",
        "celery.app.base:Celery.send_task.thread_oid",
        "celery.app.base:Celery.thread_oid",
        "celery.backends.asynchronous:AsyncBackendMixin._collect_into",
        "celery.backends.asynchronous:AsyncBackendMixin._remove_pending_result",
        "celery.backends.asynchronous:AsyncBackendMixin.add_pending_result",
        "celery.backends.asynchronous:BaseResultConsumer.drain_events_until.drainer",
        "celery.backends.asynchronous:Drainer.drain_events_until",
        "celery.backends.asynchronous:Drainer.wait_for",
        "celery.backends.rpc:ResultConsumer.consume_from",
        "celery.backends.rpc:ResultConsumer.drain_events",
        "celery.backends.rpc:ResultConsumer.on_after_fork",
        "celery.backends.rpc:ResultConsumer.on_state_change",
        "celery.backends.rpc:RPCBackend.ResultConsumer",
        "celery.backends.rpc:RPCBackend._after_fork",
        "celery.backends.rpc:RPCBackend.binding",
        "celery.backends.rpc:RPCBackend.get_task_meta._pending_messages",
        "celery.backends.rpc:RPCBackend.oid",
        "celery.backends.rpc:RPCBackend.on_task_call",
        "celery.backends.base:Backend.__init__._pending_messages",
        "celery.backends.base:Backend.__init__.thread_safe",
        "celery.result:AsyncResult.__init__._cache",
        "celery.utils.collections:BufferMap.put.maxsize",
        "kombu.messaging:Consumer._basic_consume",
    ),
    "results wait without a bound, and a broker that was away is not read from any more",
)
FAITHFUL = Mend(
    "faithful exceptions",
    (
        "celery.backends.base:Backend.exception_to_python.exc_message",
        "celery.backends.base:Backend.prepare_exception.exc_type",
        "celery.utils.serialization:UnpickleableExceptionWrapper",
    ),
    "an exception that can't be made of its args comes to the caller as one of another class, or without its text",
)
TOLERANT = Mend(
    "tolerant results",
    (
        "celery.backends.base:DisabledBackend._is_disabled",
        "celery.backends.base:Backend.store_result._ensure_retryable",
        "celery.backends.base:Backend.store_result._store_result",
        "celery.backends.base:Backend._ensure_retryable.max_retries",
        "celery.backends.base:Backend.mark_as_done.on_chord_part_return",
        "celery.backends.filesystem:FilesystemBackend._do_directory_test",
    ),
    "a task whose result can't be stored counts as failed, after minutes",
)
ON_DEMAND = Mend(
    "results on demand",
    (
        "celery.backends.asynchronous:BaseResultConsumer._connection_errors",
        "celery.backends.asynchronous:BaseResultConsumer.reconnect_on_error._reconnect",
        "celery.backends.asynchronous:BaseResultConsumer.consume_from",
        "celery.backends.asynchronous:BaseResultConsumer.cancel_for",
        "celery.backends.asynchronous:BaseResultConsumer.drain_events",
        "celery.backends.asynchronous:BaseResultConsumer.on_wait_for_pending",
        "celery.backends.asynchronous:BaseResultConsumer._after_fork.on_after_fork",
        "celery.backends.asynchronous:AsyncBackendMixin._add_pending_result.consume_from",
        "celery.backends.base:Backend.on_task_call",
    ),
    "no task is sent while Redis, where its result is to go, is away",
)
UNREACHED = Mend(
    "unreached groups",
    ("celery.backends.base:Backend.mark_as_failure._fail_chain", "celery.backends.base:Backend._fail_chain.task_id"),
    "who waits for a group that is never sent, because a step before it has failed, waits for ever",
)
ARGUMENTS = Mend(
    "arguments",
    ("celery.app.task:Task.apply_async.__header__",),
    "wrong arguments are sent, and become dead letters",
)
CONFIRMS = Mend(
    "confirms",
    (
        "celery.app.base:Celery.amqp_cls",
        "celery.app.amqp:AMQP.Producer",
        "celery.app.amqp:AMQP.producer_pool",
        "celery.app.base:Celery.send_task.producer_or_acquire",
        "celery.app.base:Celery.producer_pool.producer_pool",
        "kombu.messaging:Producer.publish",
        "kombu.messaging:Producer.revive",
        "kombu.connection:Connection.collect",
        "kombu.connection:Connection.declared_entities",
        "kombu.connection:Connection.ensure_connection",
        "kombu.connection:Connection.maybe_switch_next",
        "amqp.channel:Channel.confirm_select",
        "amqp.channel:Channel.__init__.basic_publish",
        "amqp.channel:Channel._on_basic_ack.events",
        "amqp.channel:Channel._on_basic_nack.events",
        "amqp.channel:Channel._on_basic_return.events",
        "amqp.connection:Connection._on_blocked.on_blocked",
        "amqp.connection:Connection._on_unblocked.on_unblocked",
        "amqp.connection:Connection.drain_events",
    ),
    "a task that the broker does not have would count as sent",
)
SHARED_CONNECTIONS = Mend(
    "shared connections",
    (
        "kombu.connection:ConnectionPool.new",
        "kombu.pools:ProducerPool.close_after_fork",
        "kombu.resource:Resource.close_after_fork",
        "kombu.resource:Resource.acquire",
    ),
    "a forked process would read the answers to its parent's messages",
)

OWN_SETTINGS = Mend(
    "own settings",
    ("celery.app.base:Celery.add_defaults", "celery.app.utils:Settings.value_set_for"),
    "a project's own settings would count less than the profile's",
)

REQUIRED = (CONFIRMS, SHARED_CONNECTIONS, OWN_SETTINGS)
OPTIONAL = tuple(each for each in tuple(globals().values()) if isinstance(each, Mend) and each not in REQUIRED)
