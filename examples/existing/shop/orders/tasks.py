"""The shop's work on orders: bound, shared and decorated tasks, a base class, a chain."""

import os

from celery import Task, chain, shared_task

from shop.celery import app
from shop.orders.models import Journal, Order

PRICES = {"pen": 2, "book": 12}


class Noting(Task):
    """Writes into the journal how its tasks have ended."""

    def on_success(self, retval, task_id, args, kwargs):
        Journal.objects.create(word=f"done {self.name.rpartition('.')[2]}", process=os.getpid())

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        Journal.objects.create(word=f"failed {self.name.rpartition('.')[2]}", process=os.getpid())


@app.task(base=Noting, bind=True, autoretry_for=(TimeoutError,), retry_backoff=False, default_retry_delay=1)
def price(self, order_id):
    """Price an order; the price list is away at the first try of each."""
    if self.request.retries == 0:
        raise TimeoutError("the price list is away")
    order = Order.objects.get(pk=order_id)
    order.price = order.amount * PRICES[order.article]
    order.state = "priced"
    order.save()
    return order_id


@shared_task(acks_late=True, reject_on_worker_lost=True)
def pay(order_id):
    """Have an order paid."""
    return Order.objects.filter(pk=order_id, state="priced").update(state="paid")


@app.task(name="send_mail", ignore_result=True)
def send_mail(to, text):
    """Send a mail, which in this example is a line in the journal."""
    Journal.objects.create(word=f"mail {text}", process=os.getpid())


def check_out(order_id):
    """Price an order, have it paid, and tell its buyer: a chain over two queues."""
    return chain(price.s(order_id), pay.s(), send_mail.si("buyer", "paid")).delay()
