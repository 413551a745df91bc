"""Plans: the difference that a reload applies, and the way from the planner to the daemon."""

from dataclasses import replace

import pytest

from agent.errors import ProtocolError
from agent.plan import Difference, decode_plan, difference, encode_plan
from agent.worker.spec import TemplateSpec
from tests.unit.specs import TEMPLATE, plan


def test_queues_are_added_removed_changed_or_left_alone() -> None:
    assert difference(plan(a=1, b=1, c=1), plan(b=1, c=2, d=1)) == Difference(
        added=("d",), removed=("a",), changed=("c",), unchanged=("b",)
    )


@pytest.mark.parametrize(
    "template",
    [
        replace(TEMPLATE, python="/srv/venv/bin/python"),
        replace(TEMPLATE, path=("/srv/other",)),
        replace(TEMPLATE, environment=(("A", "2"),)),
    ],
)
def test_what_the_code_sees_changes_every_worker(template: TemplateSpec) -> None:
    assert difference(plan(a=1, b=1), replace(plan(a=1, b=1), template=template)).changed == ("a", "b")


def test_a_preload_changes_no_worker() -> None:
    template = replace(TEMPLATE, preload=("numpy",))
    assert difference(plan(a=1), replace(plan(a=1), template=template)).unchanged == ("a",)


def test_a_plan_survives_the_way_to_the_daemon() -> None:
    assert decode_plan(encode_plan(plan(a=1, b=2))) == plan(a=1, b=2)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"instance": "magic"}'])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_plan(text)
