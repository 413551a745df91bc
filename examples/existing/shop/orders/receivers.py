"""What the shop does at Celery's signals."""

import os

from celery.signals import task_prerun, worker_process_init, worker_ready

from shop.orders.models import Journal


@worker_ready.connect
def note_worker(sender, **kwargs):
    Journal.objects.create(word=f"ready {sender.hostname.partition('.')[0]}", process=os.getpid())


@worker_process_init.connect
def note_process(**kwargs):
    Journal.objects.create(word="process", process=os.getpid())


@task_prerun.connect
def note_task(sender, **kwargs):
    if sender.name == "send_mail":
        Journal.objects.create(word="prerun send_mail", process=os.getpid())
