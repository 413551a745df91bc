"""The shop's reports: a chord over as many tasks as there are articles."""

from celery import chord, shared_task
from django.db.models import Sum

from shop.orders.models import Order


@shared_task
def turnover(article):
    """Return what an article has brought in."""
    return Order.objects.filter(article=article, state="paid").aggregate(total=Sum("price"))["total"] or 0


@shared_task
def total(parts):
    """Return what all articles have brought in."""
    return sum(parts)


@shared_task
def daily():
    """Start the report; return the id of its result."""
    articles = Order.objects.values_list("article", flat=True).distinct()
    return chord(turnover.s(article) for article in articles)(total.s()).id


@shared_task(time_limit=2)
def hang():
    """Never end by itself."""
    while True:
        pass
