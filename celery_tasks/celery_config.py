"""Celery's settings, the same for producers and consumers: `app.config_from_object('celery_tasks.celery_config')`."""

import os

from celery_tasks import embedded
from celery_tasks.connection import SCHEME
from celery_tasks.rabbitmq_config import (
    RABBITMQ_HOSTS,
    RABBITMQ_PWD,
    RABBITMQ_SSL,
    RABBITMQ_USER,
    RABBITMQ_VHOST,
)

## Broker settings.
broker_url = ";".join(
    f"{SCHEME}://{RABBITMQ_USER}:{RABBITMQ_PWD}@{host}:{port}/{RABBITMQ_VHOST}" for host, port in RABBITMQ_HOSTS
)
broker_use_ssl = RABBITMQ_SSL
result_backend = "rpc://"

## Only JSON: pickle lets whoever can publish run any code in a worker.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

## A broker that is away at the start, or for long, is waited for; celery's default gives up after 100 attempts.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_connection_timeout = 4
broker_heartbeat = 10

## A task that was started and not finished is run again: what a killed worker had is not lost.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
worker_cancel_long_running_tasks_on_connection_loss = True

## Anyone who may publish could shut workers down through it.
worker_enable_remote_control = False

## Celery's own faults are mended in these.
worker_consumer = "celery_tasks.consumer:Consumer"

_folder = embedded.folder(os.environ.get("CELERY_TASKS_BROKER", ""))
if _folder is not None:
    globals().update(embedded.settings(_folder), broker_use_ssl=None)
