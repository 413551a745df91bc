"""The chapter Tasks: what a task is, its request, its log, its arguments."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import celery
from pydantic import BaseModel

from celery_delivery.apps import create_app_from
from tests.guide.fleet import SETTINGS, Fleet, refused, task_of, told
from tests.guide.rows import of
from tests.guide.shared import tasks as contracts

row = of("Tasks")


@row("a task as a class with name and run")
def a_class(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 4)) == 8


@row("names made from the module, gen_task_name")
def names(fleet: Fleet) -> None:
    class Nameless(celery.Task):
        def run(self) -> None: ...

    refused(lambda: create_app_from([Nameless], SETTINGS), "has no name: set `name` in the class")


@row("bind=True, self")
def bound(fleet: Fleet) -> None:
    sent = fleet.s("look", "id").delay()
    assert sent.get(timeout=60) == {"id": sent.id}


@row("base=, inheritance of task classes")
def inheritance(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("add", 1, 2)) == 3


@row("several decorators on run")
def decorators(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1)) == 2


@row("one instance of a task in a process, __init__")
def instances(fleet: Fleet) -> None:
    assert max(fleet.get(fleet.s("look", "runs"))["runs"] for _ in range(5)) > 1


NAMES = [
    "id",
    "args",
    "kwargs",
    "retries",
    "is_eager",
    "called_directly",
    "hostname",
    "delivery_info",
    "origin",
    "utc",
    "correlation_id",
    "root_id",
    "parent_id",
    "group",
    "chord",
    "chain",
    "callbacks",
    "errbacks",
    "timelimit",
    "headers",
    "properties",
    "replaced_task_nesting",
    "stamps",
    "reply_to",
    "eta",
    "expires",
]


@row("self.request: id, args, retries, hostname, delivery_info, root_id, parent_id and the rest")
def request(fleet: Fleet) -> None:
    sent = fleet.s("look", *NAMES).apply_async(expires=300)
    seen = sent.get(timeout=60)
    assert [name for name in NAMES if seen[name] == "nothing"] == []
    assert seen["id"] == seen["correlation_id"] == seen["root_id"] == sent.id
    assert seen["parent_id"] is None
    assert seen["args"] == NAMES
    assert seen["retries"] == 0
    assert not seen["is_eager"]
    assert seen["delivery_info"]["routing_key"] == "left"
    assert seen["hostname"].startswith("left.")
    assert seen["expires"]


@row("request.time_limit, request.soft_time_limit")
def request_limits(fleet: Fleet) -> None:
    seen = fleet.get(fleet.s("look", "timelimit", "time_limit", "soft_time_limit"), time_limit=50, soft_time_limit=40)
    assert seen == {"timelimit": [50, 40], "time_limit": 50, "soft_time_limit": 40}


@row("get_task_logger, with the task's name and id")
def logging(fleet: Fleet) -> None:
    sent = fleet.s("look", "id").delay()
    sent.get(timeout=60)
    fleet.log("first", f"look[{sent.id}]", "looked at by tests.guide.left")


@row("print, standard output in the log")
def printing(fleet: Fleet) -> None:
    sent = fleet.s("look", "id").delay()
    fleet.log("first", f"printed by {sent.id}")


@row("arguments are checked when a task is called")
def arguments(fleet: Fleet) -> None:
    refused(fleet.s("twice").delay, "TypeError: twice(number", "missing a required argument: 'number'")
    refused(fleet.s("twice", 1, 2).delay, "TypeError: twice(number", "too many positional arguments")


@row("typing = False")
def untyped(fleet: Fleet) -> None:
    task = create_app_from([contracts.TwiceTask], SETTINGS).tasks["twice"]
    task.typing = False
    said = told(lambda: task.delay().get(timeout=60))
    assert said.startswith("InvalidTaskError: task twice can't be called with these arguments: missing"), said


@row("argsrepr=, kwargsrepr= hide arguments")
def hidden(fleet: Fleet) -> None:
    sent = fleet.s("add", 1, 2).apply_async(argsrepr="(<secret>)")
    sent.get(timeout=60)
    fleet.log("first", sent.id, "args", "(<secret>)")


@row("pydantic=True")
def pydantic(fleet: Fleet) -> None:
    class Model(BaseModel):
        value: int

    assert "not JSON serializable" in told(lambda: fleet.s("twice", Model(value=1)).delay())


@row("dataclasses, Enum, datetime, Decimal, UUID, sets as arguments and results")
def annotated(fleet: Fleet) -> None:
    when, thing = datetime.now(UTC), contracts.Thing("beans", Decimal("1.10"), contracts.Size.LARGE)
    assert task_of(fleet.app, "buy").delay([thing, thing], when).get(timeout=60) == {when: {thing}}
    assert fleet.get(fleet.s("buy", [thing], when)) == {when: {thing}}
    refused(
        lambda: fleet.s("buy", ["beans"], when).delay(),
        "TypeError: buy: argument 'things'[0] is 'beans', and must be Thing",
    )


@row("pydantic models as arguments and results")
def models(fleet: Fleet) -> None:
    parcel = contracts.Parcel(number=uuid4(), things=["beans"])
    packed = fleet.get(fleet.s("pack", parcel, "peas"))
    assert packed == parcel.model_copy(update={"things": ["beans", "peas"]})
    assert fleet.get(fleet.s("pack", parcel, "peas") | fleet.s("pack", "rice")).things == ["beans", "peas", "rice"]
    refused(lambda: fleet.s("pack", {"number": 5}, "peas").delay(), "TypeError: pack: argument 'parcel'")


@row("self.app, calling other tasks from a task")
def from_a_task(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("ask", "allowed")) == 8


@row("waiting for another task within a task")
def waiting(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("ask", "by option")) == 8
    assert "RuntimeError: Never call result.get() within a task!" in fleet.told(fleet.s("ask", "plainly"))
