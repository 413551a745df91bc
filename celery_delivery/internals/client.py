"""What leads to the broker and to result stores leans on, and who sends and waits for results."""

from celery_delivery.internals.mend import Mend

TLS = Mend(
    "TLS",
    ("kombu.transport.pyamqp:Transport.establish_connection.server_hostname", "kombu.connection:Connection.ssl"),
    "the second broker of a failover list is refused over TLS, and refusals are OpenSSL's own text",
)
EMBEDDED = Mend(
    "embedded messages",
    (
        "kombu.transport.filesystem:Channel._put.data_folder_out",
        "kombu.transport.filesystem:Channel._put.monotonic",
        "kombu.transport.filesystem:Channel._queue_bind.control_folder",
    ),
    "a worker of the embedded broker may end, and lose a task, since it reads a message before that is written",
)
READING = Mend(
    "reading",
    (
        "amqp.connection:Connection.drain_events.blocking_read",
        "amqp.connection:Connection.blocking_read.having_timeout",
        "amqp.connection:Connection.blocking_read.on_inbound_frame",
        "amqp.connection:Connection.blocking_read.read_frame",
        "amqp.transport:_AbstractTransport.having_timeout.EWOULDBLOCK",
        "amqp.transport:_AbstractTransport.having_timeout.settimeout",
        "kombu.transport.pyamqp:Transport.Connection",
    ),
    "each task takes a worker a few per cent more CPU",
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
        "celery.backends.rpc:RPCBackend.get_task_meta._pending_messages since 5.7",
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
SIZES = Mend(
    "sizes",
    (
        "celery.backends.base:decompress_payload.decompress since 5.7",
        "kombu.compression:decompress.get_decoder",
        "kombu.compression:encoders",
        "kombu.compression:get_encoder",
        "kombu.compression:register",
        "kombu.message:Message.__init__.decompress",
    ),
    "a message or result of a thousand bytes may become one of 12 GiB",
)
BUILTINS = Mend(
    "built-in tasks",
    (
        "celery.app.builtins:add_map_task.xmap",
        "celery.app.builtins:add_starmap_task.xstarmap",
        "celery.app.builtins:add_unlock_chord_task.unlock_chord",
        "celery.app.builtins:add_unlock_chord_task.interval",
        "celery.app.builtins:add_unlock_chord_task.max_retries",
        "celery.backends.base:Backend.ensure_chords_allowed",
        "celery.backends.base:KeyValueStoreBackend.implements_incr",
    ),
    "who may send to a queue may have its worker run each of Celery's own tasks, one of them for ever",
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
        "celery.backends.base:Backend.store_result._ensure_retryable since 5.7",
        "celery.backends.base:Backend.store_result._store_result",
        "celery.backends.base:Backend.get_task_meta._get_task_meta_for",
        "celery.backends.base:Backend._ensure_retryable.max_retries since 5.7",
        "celery.backends.base:Backend.store_result.max_retries before 5.7",
        "celery.backends.base:Backend.mark_as_done.on_chord_part_return",
        "celery.backends.filesystem:FilesystemBackend._do_directory_test",
    ),
    "a task whose result can't be stored counts as failed, after minutes",
)
ON_DEMAND = Mend(
    "results on demand",
    (
        "celery.backends.asynchronous:BaseResultConsumer._connection_errors since 5.6",
        "celery.backends.asynchronous:BaseResultConsumer.reconnect_on_error._reconnect since 5.6",
        "celery.backends.redis:ResultConsumer.__init__._connection_errors before 5.6",
        "celery.backends.redis:ResultConsumer.reconnect_on_error._reconnect_pubsub before 5.6",
        "celery.backends.asynchronous:BaseResultConsumer.consume_from",
        "celery.backends.asynchronous:BaseResultConsumer.cancel_for",
        "celery.backends.asynchronous:BaseResultConsumer.drain_events",
        "celery.backends.asynchronous:BaseResultConsumer.on_wait_for_pending",
        "celery.backends.asynchronous:BaseResultConsumer._after_fork.on_after_fork",
        "celery.backends.asynchronous:BaseResultConsumer.drain_events_until.drainer",
        "celery.backends.asynchronous:Drainer.drain_events_until",
        "celery.backends.asynchronous:Drainer.wait_for",
        "celery.backends.asynchronous:AsyncBackendMixin._add_pending_result.consume_from",
        "celery.backends.asynchronous:BaseResultConsumer.__init__._pending_results",
        "celery.backends.base:Backend.__init__.pending_results_t",
        "celery.backends.base:Backend.decode_result",
        "celery.backends.base:Backend.on_task_call",
        "celery.backends.base:BaseKeyValueStoreBackend.get_key_for_task",
        "celery.backends.base:BaseKeyValueStoreBackend.mget",
    ),
    "no task is sent while Redis, where its result is to go, is away, and some results in it are not heard of",
)
AWAITED = Mend(
    "awaited",
    (
        "celery.backends.asynchronous:AsyncBackendMixin.add_pending_result",
        "celery.backends.asynchronous:AsyncBackendMixin.remove_pending_result",
        "celery.backends.asynchronous:BaseResultConsumer.drain_events",
        "celery.backends.asynchronous:BaseResultConsumer.drain_events_until.drainer",
        "celery.backends.asynchronous:BaseResultConsumer.on_wait_for_pending",
        "celery.backends.asynchronous:Drainer.wait_for",
        "celery.backends.base:Backend.__init__.thread_safe",
        "celery.result:AsyncResult.__init__._cache",
        "celery.result:AsyncResult.__init__.on_ready",
        "celery.result:AsyncResult._maybe_set_cache",
        "celery.result:AsyncResult.ignored",
        "celery.result:AsyncResult.failed",
        "celery.result:assert_will_not_block",
    ),
    "tasks and results have no `adelay`, `aapply_async`, `aget` and `aready`",
)
WAITS = Mend(
    "waits",
    (
        "celery._state:_task_join_will_block",
        "celery._state:task_join_will_block._task_join_will_block",
        "celery.result:allow_join_result._set_task_join_will_block",
        "celery.result:allow_join_result.task_join_will_block",
        "celery.result:assert_will_not_block.task_join_will_block",
        "celery.result:denied_join_result._set_task_join_will_block",
    ),
    "a task in a thread may wait for another for ever, where another thread has allowed itself to",
)
UNREACHED = Mend(
    "unreached groups",
    (
        "celery.backends.base:Backend.mark_as_failure._fail_chain since 5.7",
        "celery.backends.base:Backend._fail_chain.task_id since 5.7",
        "celery.backends.base:Backend.mark_as_failure.chain before 5.7",
        "celery.backends.base:Backend.mark_as_failure.task_id",
    ),
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

ROUTES = Mend(
    "routes",
    (
        "celery.app.amqp:AMQP.Router.routes",
        "celery.app.amqp:AMQP._retry_publish since 5.7",
        "celery.app.base:Celery.send_task.route_name",
        "celery.app.builtins:add_unlock_chord_task",
        "celery.app.routes:Router.expand_destination.queues",
        "celery.app.routes:Router.lookup_route",
        "celery.app.routes:Router.route.task_type",
        "celery.backends.base:Backend.fallback_chord_unlock",
    ),
    "a task that is sent by its name goes to the queue of whoever sends it, and is a dead letter there",
)
WORKFLOWS = Mend(
    "workflows",
    (
        "celery.canvas:group.apply_async",
        "celery.canvas:_chord.apply_async",
        "celery.canvas:Signature.__init__._type",
    ),
    "what is wrong with a later task of a group is found when the others have been sent",
)
ERRBACKS = Mend(
    "errbacks",
    (
        "celery.backends.base:Backend.mark_as_failure._call_task_errbacks",
        "celery.backends.base:Backend._call_task_errbacks.errbacks",
    ),
    "a failure whose errback can't be sent is told twice",
)
ADOPTED = Mend(
    "adopted apps",
    (
        "celery.app.amqp:AMQP.Queues.queues_cls",
        "celery.app.amqp:AMQP.Router.routes",
        "celery.app.amqp:Queues.__init__.add",
        "celery.app.amqp:Queues.__missing__.new_missing",
        "celery.app.amqp:Queues._add",
        "celery.app.base:Celery._load_config.on_after_configure",
        "celery.app.base:Celery.amqp_cls",
        "celery.app.base:Celery._get_backend.backend_cls",
        "celery.app.task:Task.bind.from_config",
        "celery.app.task:Task.signature_from_request.delivery_info",
        "celery.worker.consumer.consumer:Consumer.update_strategies.start_strategy",
        "celery.worker.consumer.consumer:Consumer.create_task_handler.strategies",
        "celery.worker.request:create_request_cls.acks_late",
        "celery.worker.request:create_request_cls.time_limit",
        "kombu.messaging:Consumer.__init__._active_tags",
    ),
    "queues of an app that was made by others would not lose nothing",
)
OWN_SETTINGS = Mend(
    "own settings",
    (
        "celery.app.base:Celery.add_defaults",
        "celery.app.utils:Settings.broker_read_url",
        "celery.app.utils:Settings.broker_url",
        "celery.app.utils:Settings.broker_write_url",
        "celery.app.utils:Settings.first",
        "celery.app.utils:Settings.result_backend",
        "celery.app.utils:Settings.value_set_for",
        "celery.utils.collections:ChainMap._key",
        "celery.utils.collections:ConfigurationView.__init__._keys",
        "celery.utils.collections:ConfigurationView._to_keys",
    ),
    "a project's own settings would count less than the profile's, and than variables",
)
