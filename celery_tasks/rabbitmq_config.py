"""Where RabbitMQ is and who we are there, as RABBITMQ_… in the environment says; docs/broker.md has each variable."""

import os

from celery_delivery.broker import rabbitmq

RABBITMQ_HOSTS = rabbitmq.hosts(os.environ)
RABBITMQ_HOST, RABBITMQ_PORT = RABBITMQ_HOSTS[0]
RABBITMQ_USER = rabbitmq.user(os.environ)
RABBITMQ_PWD = rabbitmq.password(os.environ)
RABBITMQ_VHOST = rabbitmq.vhost(os.environ)
RABBITMQ_SSL = rabbitmq.tls_options(os.environ)
