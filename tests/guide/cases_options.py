"""The chapter Options of a task: attributes of its class."""

from pathlib import Path

from tests.guide.fleet import Fleet, told
from tests.guide.rows import of
from tests.waiting import wait_until

row = of("Options of a task")


@row("throws")
def throws(fleet: Fleet) -> None:
    sent = fleet.s("end", "expected").delay()
    assert told(lambda: sent.get(timeout=60)) == "KeyError: 'as expected'"
    assert "INFO" in fleet.log("first", sent.id, "raised expected")


@row("rate_limit")
def rate_limit(fleet: Fleet) -> None:
    sent = [fleet.s("limited").delay() for _ in range(2)]
    first, second = sorted(each.get(timeout=60) for each in sent)
    assert second - first > 0.5


@row("ignore_result")
def ignore_result(fleet: Fleet) -> None:
    notes = fleet.file()
    sent = fleet.s("silent", notes).delay()
    assert fleet.lines(notes, 1) == [sent.id]
    assert sent.state == "PENDING"


@row("time_limit, soft_time_limit")
def limits(fleet: Fleet) -> None:
    if fleet.pool == "prefork":
        assert fleet.get(fleet.s("slow", 30), soft_time_limit=1) == "in time"
        assert fleet.told(fleet.s("slow", 30), time_limit=1).startswith("TimeLimitExceeded")
    else:
        assert "does not enforce" in fleet.check() or fleet.get(fleet.s("slow", 0.1), time_limit=1) == "slept"


@row("acks_late, reject_on_worker_lost, acks_on_failure, acks_on_timeout")
def acks(fleet: Fleet) -> None:
    conf = fleet.app.conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert not conf.task_acks_on_timeout


@row("track_started")
def track_started(fleet: Fleet) -> None:
    folder = fleet.file()
    sent = fleet.s("steps", folder).delay()
    wait_until(lambda: sent.state == "STARTED", 60, "it has started")
    assert sent.info["hostname"].startswith("left.")
    Path(folder).mkdir()
    for name in ("begin", "50", "90"):
        (Path(folder) / name).touch()
    assert sent.get(timeout=60) == "done"


@row("serializer, compression")
def serializer(fleet: Fleet) -> None:
    assert fleet.app.task_of("twice").serializer == "json"
    assert fleet.get(fleet.s("twice", 1), compression="zlib") == 2


@row("backend, a store for one task")
def backend(fleet: Fleet) -> None:
    assert fleet.app.task_of("twice").backend is fleet.app.backend


@row("before_start, on_success, on_failure, on_retry, after_return")
def hooks(fleet: Fleet) -> None:
    notes = fleet.file()
    assert fleet.get(fleet.s("hooked", "succeed", notes)) == "succeed"
    assert fleet.lines(notes, 3) == ["before_start", "on_success succeed", "after_return SUCCESS"]
    notes = fleet.file()
    assert fleet.told(fleet.s("hooked", "fail", notes)) == "ValueError: fail"
    assert fleet.lines(notes, 3) == ["before_start", "on_failure fail", "after_return FAILURE"]
    notes = fleet.file()
    assert fleet.get(fleet.s("hooked", "retry", notes)) == "retry"
    assert sorted(fleet.lines(notes, 5)) == [
        "after_return SUCCESS",
        "before_start",
        "before_start",
        "on_retry",
        "on_success retry",
    ]


@row("async def run")
def coroutine(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("waits", 0.1)) == "waited"
