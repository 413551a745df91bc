"""Celery's settings of the contracts beside it: those of `celery_tasks/`, and what some rows of the user guide need."""

from celery_tasks.celery_config import *  # noqa: F403  as a project takes them over

result_extended = True
task_routes = {"routed.*": {"queue": "right"}}
worker_send_task_events = True
task_send_sent_event = True
