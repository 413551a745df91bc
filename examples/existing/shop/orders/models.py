from django.db import models


class Order(models.Model):
    """An order; `state` is new, priced, paid or failed."""

    article = models.CharField(max_length=100)
    amount = models.PositiveIntegerField()
    price = models.PositiveIntegerField(null=True)
    state = models.CharField(max_length=10, default="new")


class Journal(models.Model):
    """What has happened, in a word, and where."""

    word = models.CharField(max_length=40)
    process = models.PositiveIntegerField()
