"""Celery's settings, the same for producers and consumers: `app.config_from_object('celery_tasks.celery_config')`."""

import os

from celery_delivery.broker import embedded, rabbitmq
from celery_delivery.settings import environment
from celery_tasks.rabbitmq_config import RABBITMQ_HOSTS, RABBITMQ_PWD, RABBITMQ_SSL, RABBITMQ_USER, RABBITMQ_VHOST

## Broker settings. CELERY_TASKS_BROKER=embedded takes a folder instead of RabbitMQ, for trying things out.
_embedded = embedded.url(os.environ)
broker_url = _embedded or rabbitmq.url(RABBITMQ_HOSTS, RABBITMQ_USER, RABBITMQ_PWD, RABBITMQ_VHOST)
broker_use_ssl = None if _embedded else RABBITMQ_SSL
result_backend = environment.result_backend(os.environ)
task_ignore_result = result_backend == environment.DISABLED

## What is promised about a task: celery_delivery.settings.safe, or Celery's defaults.
delivery_profile = environment.delivery_profile(os.environ)
clients_declare = environment.clients_declare(os.environ)

## Only JSON: pickle lets whoever can publish run any code in a worker.
task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]

## Anyone who may publish could shut workers down through it.
worker_enable_remote_control = False
