"""The profile `safe` as Celery settings: nothing that the broker has accepted is lost; a task may run twice.

What a project's own settings module says of the same names wins. The figures were measured with Celery 5.7.0 and RabbitMQ
3.10.8; `docs/delivery.md` tells more.
"""

from socket import TCP_USER_TIMEOUT

CONNECT_TIMEOUT = 4.0  # seconds for each step of a connection
HEARTBEAT = 10  # seconds

# Acked when it is done: kill -9 of a worker then loses nothing (early ack: 3 of 3 tasks).
task_acks_late = True
# A pool child that dies gives its task back; by default late ack counts that as a failure (5 of 5 tasks lost).
task_reject_on_worker_lost = True
# A task that raises has failed, and is done; it would only raise again.
task_acks_on_failure = True
# A task that is killed by its hard limit is redelivered and dead-lettered in the end; acked, it is gone (2 of 2).
task_acks_on_timeout = False
# What a pool's process holds is not forgotten when a connection is lost or a worker stops (ran twice, 1 stop in 14).
worker_pool = "celery_delivery.worker.pool:TaskPool"
# A Redis or database that restarts is tried again, 5 s at most (some databases 20); by default the result is lost at once.
# Once it has been away for so long, results are lost at once until it is back.
result_backend_always_retry = True
result_backend_max_retries = 3
result_backend_base_sleep_between_retries_ms = 500
result_backend_max_sleep_between_retries_ms = 2000
result_backend_transport_options = {"retry_policy": {"max_retries": 3}}  # of what Redis tries again by itself, for 20 s
# A Redis that is frozen, or whose host is gone, is not waited for longer than heartbeats are; by default 2 minutes.
redis_socket_timeout = 2.0
redis_socket_connect_timeout = 2.0
# Tables are made with the first result: a database that is away keeps no task from being sent, and no worker from starting.
database_create_tables_at_setup = False
# SIGQUIT lets running tasks end for so long before it gives them back; a stop has a deadline of its own.
worker_soft_shutdown_timeout = 3.0
# One task per slot: nothing waits behind a long task while another worker is idle.
worker_prefetch_multiplier = 1
# A link that died without a word is noticed in two heartbeats: 22 s; without heartbeats never.
broker_heartbeat = HEARTBEAT
broker_connection_timeout = CONNECT_TIMEOUT
broker_transport_options = {
    # What waits for an answer of the broker gives up; without a limit a frozen link is waited on for ever.
    "read_timeout": 5.0,
    "write_timeout": 5.0,
    # py-amqp's 1 s cuts the connection to a broker that is only slow to read (2,000 tasks at once, ETIMEDOUT).
    "socket_settings": {TCP_USER_TIMEOUT: HEARTBEAT * 1000},
}
# A broker that is away, at the start or for long, is waited for; the default gives up after 100 attempts.
broker_connection_retry = True
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# The broker closes the channel of a task that outlasts its consumer_timeout: the worker connects again, by default
# it lives on without a consumer.
broker_channel_error_retry = True
# What is running when the connection goes can't be acked any more, and is redelivered: don't let it run twice at once.
worker_cancel_long_running_tasks_on_connection_loss = True
# After a lost connection the worker has as many tasks as before; Celery below 5.7 takes fewer, and for good from quorum queues.
worker_enable_prefetch_count_reduction = False
