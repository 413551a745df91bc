"""A task that a decorator has made, of an app of its own."""

import os

from celery import Celery

app = Celery(
    "decorated", broker=f"amqp://guest:guest@{os.environ.get('RABBITMQ_HOST')}:{os.environ.get('RABBITMQ_PORT')}//"
)


@app.task(queue="decorated", name="plain")  # type: ignore[untyped-decorator]
def plain() -> str:
    return "plain"
