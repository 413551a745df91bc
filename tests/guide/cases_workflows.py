"""The chapter Canvas: what tasks make of themselves, and stamps."""

from celery import chain, group
from celery.canvas import StampingVisitor

from tests.guide.fleet import Fleet, refused
from tests.guide.rows import of

row = of("Canvas, inside")


class Labelled(StampingVisitor):
    """Labels all that it sees."""

    def on_signature(self, sig: object, **headers: object) -> dict[str, object]:
        return {"label": "mine"}


@row("self.replace by a task or a chain")
def replaced(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("replaced", "a task")) == 3
    assert fleet.get(chain(fleet.s("replaced", "a chain"), fleet.s("twice"))) == 12


@row("self.replace by a group")
def replaced_by_a_group(fleet: Fleet) -> None:
    if fleet.counts:
        assert fleet.get(fleet.s("replaced", "a group")) == [3, 10]
    else:
        said = fleet.told(fleet.s("replaced", "a group"))
        assert said.startswith("WorkflowError"), said


@row("countdown, eta, expires, queue of a step: set()")
def options_of_a_step(fleet: Fleet) -> None:
    sent = chain(fleet.s("add", 1), fleet.s("twice").set(countdown=1, expires=60), fleet.s("twice").set(queue="right"))
    assert fleet.get(sent) == 4


@row("retry in a step")
def retry_in_a_step(fleet: Fleet) -> None:
    assert fleet.get(chain(fleet.s("try_again", 1, {"countdown": 0}), fleet.s("twice"))) == 2


@row("stamp(label=…), request.stamps")
def stamps(fleet: Fleet) -> None:
    sent = group(fleet.s("look", "stamps"), fleet.s("look", "stamps"))
    sent.stamp(label="mine")
    assert fleet.get(sent) == [{"stamps": {"label": "mine"}}] * 2


@row("StampingVisitor")
def visitor(fleet: Fleet) -> None:
    sent = chain(fleet.app.signature("twice", (1,)), fleet.app.signature("look", ("stamps",), immutable=True))
    sent.stamp(visitor=Labelled())
    assert fleet.get(sent) == {"stamps": {"label": "mine"}}


@row("a mistake in a later step")
def mistake(fleet: Fleet) -> None:
    refused(chain(fleet.s("add", 1), fleet.s("twise")).delay, "UnknownTask: There is no task 'twise'")
    refused(
        chain(fleet.s("add", 1), fleet.s("twice", 3)).delay, "TypeError: twice(number", "too many positional arguments"
    )


@row("a step that nobody hosts yet")
def unhosted(fleet: Fleet) -> None:
    sent = chain(fleet.s("add", 1), fleet.app.signature("unhosted", immutable=True)).delay()
    assert sent.parent.get(timeout=60) == 1
    assert sent.state == "PENDING"
