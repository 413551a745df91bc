"""The producer's side: sends by contract, knows nothing of the implementation. `python send.py` on the consumer's broker."""

from celery_tasks.tasks import CountWordsTask, MagicCeleryTask, SleepTask
from celery_tasks.utils import create_worker_from

TIMEOUT = 30  # seconds to wait for a result

_, magic = create_worker_from(MagicCeleryTask)
_, count_words = create_worker_from(CountWordsTask)
_, sleep = create_worker_from(SleepTask)


def main() -> None:
    """Send one task of each kind and print what comes back."""
    nap = sleep.delay(1.5)
    print("magic(1, 2, 3)       =", magic.delay(1, 2, 3).get(timeout=TIMEOUT))
    print("count_words('a b a') =", count_words.delay("a b a").get(timeout=TIMEOUT))
    try:
        magic.delay(1, 2)
    except TypeError as error:
        print("magic(1, 2)          : not sent,", error)
    print("sleep(1.5)           =", nap.get(timeout=TIMEOUT))


if __name__ == "__main__":
    main()
