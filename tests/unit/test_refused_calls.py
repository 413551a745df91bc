"""Calls that a producer hears of at once, which would fail later, or say something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from celery import chain, group

from celery_delivery.contract.typed import TypedTask
from celery_delivery.testing import End, StubBroker
from celery_tasks import utils


@dataclass
class Picture:
    path: str


class Show(TypedTask):
    name = "show"

    def run(self, picture: Picture, where: str = "wall") -> Picture:
        return picture


class Note(TypedTask):
    name = "show"

    def run(self, failed: UUID, where: str = "wall") -> str:
        return f"{failed} {where}"


class Plain(TypedTask):
    name = "show"

    def run(self, text: str) -> str:
        return text


class Fail(TypedTask):
    name = "show"

    def run(self, failed: UUID | None = None) -> str:
        if failed is None:
            raise ValueError("on purpose")
        return str(failed)


@pytest.fixture(autouse=True)
def broker() -> Iterator[StubBroker]:
    with StubBroker() as broker:
        yield broker


def task(kind: type[Any]) -> Any:
    return utils.create_worker_from(kind)[1]


def test_a_task_that_cannot_take_an_id_is_no_errback(broker: StubBroker) -> None:
    show = task(Show)
    with pytest.raises(
        TypeError, match="'picture' is '0.*', and must be Picture: link_error gives it the id of the task"
    ):
        show.apply_async((Picture("a"),), link_error=show.s(where="floor"))
    assert broker.messages("show") == []


@pytest.mark.parametrize("kind", [Note, Fail, Plain])
def test_a_task_that_takes_an_id_is_an_errback(kind: Any) -> None:
    errback = task(kind)
    task(Show).apply_async((Picture("a"),), link_error=errback.s())


def test_an_immutable_errback_is_given_no_id() -> None:
    show = task(Show)
    show.apply_async((Picture("a"),), link_error=show.si(Picture("b")))


def test_an_errback_whose_annotation_is_an_id_is_given_one(broker: StubBroker) -> None:
    fail = task(Fail)
    failed = fail.apply_async(link_error=fail.s())
    assert [outcome.end for outcome in broker.work(fail.app)] == [End.FAILED, End.SUCCEEDED]
    with pytest.raises(ValueError, match="on purpose"):
        failed.get()


@pytest.mark.parametrize(
    "workflow",
    [
        lambda show: show.map([Picture("a")]),
        lambda show: show.starmap([(Picture("a"), "floor")]),
        lambda show: show.chunks([(Picture("a"), "floor")], 1),
        lambda show: show.chunks([(Picture("a"), "floor")], 1).group(),
        lambda show: chain(show.s(Picture("a")), show.map([Picture("b")])),
        lambda show: group(show.s(Picture("a")), show.map([Picture("b")])),
    ],
    ids=["map", "starmap", "chunks", "chunks in a group", "a later step", "in a group"],
)
def test_what_a_map_cannot_bring_back_is_not_begun(broker: StubBroker, workflow: Any) -> None:
    with pytest.raises(
        TypeError, match="show: what it returns can't come back by map, starmap or chunks.* Take a group"
    ):
        workflow(task(Show)).delay()
    assert broker.messages("show") == []


def test_a_map_of_what_json_knows_is_run(broker: StubBroker) -> None:
    plain = task(Plain)
    result = plain.map(["a", "b"]).delay()
    broker.work(plain.app)
    assert result.get() == ["a", "b"]


def test_one_text_in_the_place_of_a_tuple_is_told() -> None:
    with pytest.raises(TypeError, match=r"too many positional arguments. If args was one text, write \(text,\)"):
        task(Plain).apply_async("a.png")
