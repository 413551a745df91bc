"""Celery's settings, the same for producers and consumers: `app.config_from_object('celery_tasks.celery_config')`."""

import os

from celery_tasks import delivery, embedded
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

## Anyone who may publish could shut workers down through it.
worker_enable_remote_control = False

## Celery's own faults are mended in these.
worker_consumer = "celery_tasks.consumer:Consumer"

## What is promised about a task: celery_tasks.delivery on RabbitMQ, nothing on the embedded broker.
_folder = embedded.folder(os.environ.get("CELERY_TASKS_BROKER", ""))
if _folder is None:
    globals().update(delivery.settings(os.environ))
else:
    globals().update(embedded.settings(_folder), broker_use_ssl=None)
