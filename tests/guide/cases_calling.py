"""The chapter Calling tasks: ways, links, times."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from kombu import Connection

from tests.guide.fleet import Fleet, refused, told
from tests.guide.rows import of

row = of("Calling")


@row("delay, apply_async")
def delay(fleet: Fleet) -> None:
    task = fleet.app.tasks["add"]
    assert task.delay(1, 2).get(timeout=60) == 3
    assert task.apply_async((1, 2)).get(timeout=60) == 3


@row("send_task, by name alone")
def by_name(fleet: Fleet) -> None:
    assert fleet.app.send_task("twice", (4,)).get(timeout=60) == 8


@row("a name that nobody has")
def unknown(fleet: Fleet) -> None:
    refused(lambda: fleet.app.send_task("twise", (4,)), "UnknownTask: There is no task 'twise'", "twice")


HERE = """
from celery_delivery.apps import create_app_from
from tests.guide import right
task = create_app_from([right.Twice], SETTINGS).tasks["twice"]
print(task(2), task.apply((2,)).get())
"""


@row("task(…), apply(): run here and now")
def here(fleet: Fleet) -> None:
    assert fleet.alone(HERE) == "4 4\n"
    refused(fleet.app.tasks["look"], "NotImplementedError", "the consumer must host a subclass")


@row("link=, also several")
def link(fleet: Fleet) -> None:
    files = [fleet.file(), fleet.file()]
    assert fleet.get(fleet.s("add", 1, 2), link=[fleet.s("note", file=file) for file in files]) == 3
    assert [fleet.lines(file, 1) for file in files] == [["3"], ["3"]]


@row("link_error=, also several")
def link_error(fleet: Fleet) -> None:
    files = [fleet.file(), fleet.file()]
    sent = fleet.s("add", -1).apply_async(link_error=[fleet.s("note", file=file) for file in files])
    assert [fleet.lines(file, 1) for file in files] == [[sent.id], [sent.id]]


ON_MESSAGE = """
seen = []
sent = fleet.s("steps", FOLDER).delay()
def go_on():
    for name in ("begin", "50", "90"):
        (Path(FOLDER) / name).touch()
assert sent.get(timeout=60, on_message=seen.append, on_interval=go_on) == "done"
print([each["status"] for each in seen if each["task_id"] == sent.id])
"""


@row("get(on_message=)")
def on_message(fleet: Fleet) -> None:
    folder = Path(fleet.file())
    folder.mkdir()
    code = ON_MESSAGE.replace("FOLDER", repr(str(folder)))
    if fleet.store == "database":
        for name in ("begin", "50", "90"):  # else it waits for them, and with solo all tasks of its queue do
            (folder / name).touch()
        refused(lambda: fleet.alone(code), "Backend does not support on_message callback")
    else:
        assert "SUCCESS" in fleet.alone(code)


@row("countdown=")
def countdown(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1), countdown=1) == 2


@row("eta=")
def eta(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1), eta=datetime.now(UTC) + timedelta(seconds=1)) == 2


@row("countdown=, eta= of more than 388 days")
def too_far(fleet: Fleet) -> None:
    refused(lambda: fleet.s("twice", 1).apply_async(countdown=400 * 86400), "DelayError")


@row("expires=")
def expires(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1), expires=300) == 2
    assert fleet.told(fleet.s("twice", 1), expires=datetime.now(UTC) - timedelta(seconds=9)).startswith(
        "TaskRevokedError"
    )


@row("retry=, retry_policy= of sending")
def retry_policy(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1), retry=True, retry_policy={"max_retries": 1}) == 2
    assert fleet.get(fleet.s("twice", 1), retry=False) == 2


@row("task.OperationalError, where the broker is away")
def away(fleet: Fleet) -> None:
    task = fleet.app.tasks["add"]
    with Connection("amqp://127.0.0.1:1//", connect_timeout=1) as nowhere:
        said = told(lambda: task.apply_async((1,), connection=nowhere))
    assert "NotAccepted" in said or "OperationalError" in said, said


@row("serializer=json")
def json(fleet: Fleet) -> None:
    value = {"text": "ä", "list": [1, 2.5, None, True]}
    assert fleet.get(fleet.s("note", value, fleet.file()), serializer="json") == value


@row("serializer=pickle, yaml, msgpack")
def pickle(fleet: Fleet) -> None:
    said = told(lambda: fleet.s("twice", 1).apply_async(serializer="pickle").get(timeout=20))
    assert "ContentDisallowed" in said or "Refused" in said, said


@row("compression=")
def compression(fleet: Fleet) -> None:
    for name in ("gzip", "bzip2", "zlib"):
        assert fleet.get(fleet.s("twice", "a" * 100), compression=name) == "a" * 200


@row("connection=, producer=")
def connection(fleet: Fleet) -> None:
    with fleet.app.connection_for_write() as connection:
        assert fleet.get(fleet.s("twice", 1), connection=connection) == 2
    with fleet.app.producer_or_acquire() as producer:
        assert fleet.get(fleet.s("twice", 1), producer=producer) == 2


@row("time_limit=, soft_time_limit=")
def limits(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("look", "timelimit"), time_limit=50, soft_time_limit=40)["timelimit"] == [50, 40]
