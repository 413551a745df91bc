"""The chapter Retrying."""

from tests.guide.fleet import Fleet
from tests.guide.rows import of

row = of("Retrying")


@row("self.retry(countdown=)")
def retry(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("try_again", 2, {"countdown": 0})) == 2


@row("default_retry_delay")
def default_delay(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("try_again", 1, {})) == 1


@row("self.retry(max_retries=), MaxRetriesExceededError")
def max_retries(fleet: Fleet) -> None:
    said = fleet.told(fleet.s("try_again", 9, {"countdown": 0, "max_retries": 1}))
    assert said.startswith("MaxRetriesExceededError: Can't retry try_again["), said
    assert fleet.get(fleet.s("try_again", 3, {"countdown": 0})) == 3  # it holds for the call alone


@row("self.retry(exc=)")
def with_error(fleet: Fleet) -> None:
    said = fleet.told(fleet.s("try_again", 9, {"countdown": 0, "max_retries": 0, "with error": True}))
    assert said == "Quarrel: again (7)", said


@row("self.retry(throw=False)")
def without_throw(fleet: Fleet) -> None:
    sent = fleet.s("try_again", 1, {"countdown": 0}).delay()
    assert sent.get(timeout=60) == 1


@row("autoretry_for, max_retries")
def autoretry(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("known_errors", "index", 1)) == 1
    assert fleet.told(fleet.s("known_errors", "index", 9)) == "IndexError: index"
    assert fleet.told(fleet.s("known_errors", "value", 1)) == "ValueError: value"


@row("dont_autoretry_for")
def no_autoretry(fleet: Fleet) -> None:
    assert fleet.told(fleet.s("known_errors", "key", 1)) == "KeyError: 'key'"


@row("retry_backoff, retry_backoff_max, retry_jitter")
def backoff(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("known_errors", "index", 2)) == 2


@row("request.retries, the same id in each try")
def same_id(fleet: Fleet) -> None:
    sent = fleet.s("try_again", 1, {"countdown": 0}).delay()
    assert sent.get(timeout=60) == 1
    fleet.log("first", f"try_again[{sent.id}] retry: Retry in 0s")
    fleet.log("first", f"try_again[{sent.id}] succeeded")
