"""The chapter Calling tasks: options of a message."""

import uuid

from celery_delivery.batch import send_all
from tests.guide.fleet import Fleet, refused, told
from tests.guide.rows import of

row = of("Options of a call")


@row("queue= of a contract")
def queue(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1), queue="right") == 2


@row("queue= that is not there")
def no_queue(fleet: Fleet) -> None:
    refused(lambda: fleet.s("twice", 1).apply_async(queue="nowhere"), "there is no queue 'nowhere'")


@row("exchange=, routing_key=")
def exchange(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1), exchange="", routing_key="right") == 2


@row("priority=")
def priority(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1), priority=0) == 2
    said = told(lambda: fleet.get(fleet.s("twice", 1), priority=9))
    assert said == "nothing: 2" or "has the priority 9, and RabbitMQ 3" in said, said


@row("headers=")
def headers(fleet: Fleet) -> None:
    seen = fleet.get(fleet.s("look", "headers"), headers={"traceparent": "00-1"})
    assert seen["headers"]["traceparent"] == "00-1"


@row("task_id=")
def task_id(fleet: Fleet) -> None:
    name = str(uuid.uuid4())
    assert fleet.get(fleet.s("look", "id"), task_id=name) == {"id": name}


@row("shadow=, a name for the log")
def shadow(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).apply_async(shadow="under-another-name")
    assert sent.get(timeout=60) == 2
    fleet.log("second", f"under-another-name[{sent.id}]")


@row("ignore_result=True")
def ignore_result(fleet: Fleet) -> None:
    file = fleet.file()
    sent = fleet.s("note", 1, file).apply_async(ignore_result=True)
    assert fleet.lines(file, 1) == ["1"]
    assert sent.state == "PENDING"


@row("reply_to=, of rpc")
def reply_to(fleet: Fleet) -> None:
    seen = fleet.get(fleet.s("look", "reply_to"))
    assert bool(seen["reply_to"])


@row("add_to_parent=, root_id=, parent_id=")
def parents(fleet: Fleet) -> None:
    seen = fleet.get(fleet.s("look", "root_id", "parent_id"), root_id="r", parent_id="p", add_to_parent=False)
    assert seen == {"root_id": "r", "parent_id": "p"}


@row("delivery_mode=1, messages kept in memory")
def transient(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1), delivery_mode=1) == 2


@row("mandatory=, immediate=")
def mandatory(fleet: Fleet) -> None:
    said = told(lambda: fleet.get(fleet.s("twice", 1), mandatory=True))
    assert said == "nothing: 2", said


@row("many at once")
def many(fleet: Fleet) -> None:
    sent = send_all([fleet.s("twice", number) for number in range(5)])
    assert len(list(sent)) == 5
