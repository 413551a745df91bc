"""The contracts: one class per task, with its name, the arguments of `run` and what it returns. No implementation.

Consumers inherit a contract and implement `run`; producers send by it. The task's name is also the name of its queue.
"""

import celery

from celery_delivery.contract.typed import TypedTask


class MagicCeleryTask(celery.Task):
    """Adds three numbers up."""

    name = "unique_magic_task"

    def run(self, arg1, arg2, arg3):
        """
        place holder method
        :param arg1: arg1 is for this
        :type arg1: int
        :param arg2: arg2 is for that
        :type arg2: int
        :param arg3: arg3 is for another
        :type arg3: int
        :return: result
        :rtype: str
        """


class CountWordsTask(TypedTask):
    """Counts how often each word stands in a text."""

    name = "count_words"

    def run(self, text: str, *, minimum_length: int = 1) -> dict[str, int]:
        """
        :param text: any text; words are what white space separates, compared without regard to case
        :param minimum_length: shorter words are left out
        :return: occurrences by word
        """
        raise NotImplementedError


class SleepTask(TypedTask):
    """Does nothing for a while; for looking at running tasks."""

    name = "sleep"

    def run(self, seconds: float) -> float:
        """
        :param seconds: how long to sleep
        :return: the same seconds
        """
        raise NotImplementedError
