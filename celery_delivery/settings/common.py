"""Celery settings of every app that this library makes, whatever its profile."""

# Celery's own faults are mended in it.
worker_consumer = "celery_delivery.worker.consumer:Consumer"
