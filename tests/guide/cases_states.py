"""The chapter States and endings."""

from pathlib import Path

from celery.exceptions import TimeoutError as NoResult

from tests.guide.fleet import Fleet, told
from tests.guide.rows import of
from tests.waiting import wait_until

row = of("States and endings")


@row("PENDING, also of an id that nobody knows")
def pending(fleet: Fleet) -> None:
    assert fleet.app.AsyncResult("nobody-knows-it").state == "PENDING"


@row("SUCCESS")
def success(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).delay()
    assert sent.get(timeout=60) == 2
    assert (sent.state, sent.result, sent.successful(), sent.ready()) == ("SUCCESS", 2, True, True)


@row("FAILURE, with the traceback's text")
def failure(fleet: Fleet) -> None:
    sent = fleet.s("add", -1).delay()
    assert told(lambda: sent.get(timeout=60)) == "ValueError: negative"
    assert (sent.state, sent.failed()) == ("FAILURE", True)
    assert 'raise ValueError("negative")' in sent.traceback


@row("RETRY")
def retry(fleet: Fleet) -> None:
    sent = fleet.s("try_again", 1, {"countdown": 3}).delay()
    wait_until(lambda: sent.state in {"RETRY", "SUCCESS"}, 60, "it is tried again")
    assert sent.get(timeout=60) == 1


@row("custom states, update_state")
def custom(fleet: Fleet) -> None:
    folder = Path(fleet.file())
    folder.mkdir()
    sent = fleet.s("steps", str(folder)).delay()
    (folder / "begin").touch()
    for percent in (50, 90):
        wait_until(lambda: (sent.state, sent.info) == ("PROGRESS", {"percent": percent}), 60, f"{percent} %")  # noqa: B023
        (folder / str(percent)).touch()
    assert sent.get(timeout=60) == "done"


@row("exceptions with a constructor of their own")
def exceptions(fleet: Fleet) -> None:
    found = fleet.s("end", "own constructor").delay().get(timeout=60, propagate=False)
    assert (type(found).__name__, str(found), getattr(found, "code", None)) == ("Quarrel", "never (42)", 42)


@row("raise Ignore()")
def ignore(fleet: Fleet) -> None:
    sent = fleet.s("end", "ignore").delay()
    fleet.log("first", sent.id, "ignored")
    assert told(lambda: sent.get(timeout=0.5)).startswith(NoResult.__name__)


@row("update_state and then Ignore()")
def ignore_with_a_state(fleet: Fleet) -> None:
    sent = fleet.s("end", "ignore with a state").delay()
    wait_until(lambda: (sent.state, sent.info) == ("MINE", {"so": "it is"}), 60, "its state is told")


@row("raise Reject(requeue=False)")
def reject(fleet: Fleet) -> None:
    sent = fleet.s("end", "reject").delay()
    assert told(lambda: sent.get(timeout=60)) == "Reject: ('never', False)"
    fleet.dead("left", sent.id)


@row("raise Reject(requeue=True)")
def requeue(fleet: Fleet) -> None:
    sent = fleet.s("end", "requeue").delay()
    assert told(lambda: sent.get(timeout=60)).startswith("WorkerLostError")
    fleet.dead("left", sent.id)


@row("SystemExit and the like")
def leaving(fleet: Fleet) -> None:
    assert fleet.told(fleet.s("end", "exit")).startswith("TaskExit: SystemExit(3)")


@row("REVOKED, of a task that has expired")
def expired(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).apply_async(countdown=1, expires=0.5)
    assert told(lambda: sent.get(timeout=60)) == "TaskRevokedError: expired"
    assert sent.state == "REVOKED"
