"""The consumer's side: contracts are inherited, `run` is implemented."""

import time
from collections import Counter

from celery.utils.log import get_task_logger

from celery_tasks.tasks import CountWordsTask, MagicCeleryTask, SleepTask

log = get_task_logger(__name__)


class ActualMagicCeleryTask(MagicCeleryTask):
    """Adds up."""

    def run(self, arg1, arg2, arg3):
        """Actual implementation"""
        return arg1 + arg2 + arg3


class CountWords(CountWordsTask):
    """Counts words."""

    def run(self, text: str, *, minimum_length: int = 1) -> dict[str, int]:
        """Return how often each word stands in the text."""
        words = [word for word in text.lower().split() if len(word) >= minimum_length]
        log.info("counting %d words", len(words))
        return dict(Counter(words))


class Sleep(SleepTask):
    """Sleeps."""

    def run(self, seconds: float) -> float:
        """Return the seconds when they are over."""
        time.sleep(seconds)
        return seconds
