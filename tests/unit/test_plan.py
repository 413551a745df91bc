"""Plans: the difference that a reload applies, and the way from the planner to the daemon."""

from dataclasses import replace

import pytest

from agent.decide.plan import Difference, decode_plan, difference, encode_plan
from agent.errors import ProtocolError
from agent.guest.spec import Limits, TemplateSpec, WorkerSpec
from tests.unit.specs import SPEC, TEMPLATE, plan


def test_queues_are_added_removed_changed_or_left_alone() -> None:
    assert difference(plan(a=1, b=1, c=1), plan(b=1, c=2, d=1)) == Difference(
        added=("d",), removed=("a",), changed=("c",), adjusted=(), unchanged=("b",)
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


@pytest.mark.parametrize(
    "worker",
    [
        replace(SPEC, limits=Limits(memory_max=1)),
        replace(SPEC, warm_timeout=1.0),
        replace(SPEC, cold_timeout=1.0),
    ],
)
def test_what_the_worker_s_process_never_sees_is_adjusted(worker: WorkerSpec) -> None:
    before = replace(plan(), workers=(SPEC,))
    assert difference(before, replace(plan(), workers=(worker,))).adjusted == ("emails",)


def test_what_is_adjusted_and_changed_is_changed() -> None:
    before, after = (SPEC, replace(SPEC, limits=Limits(pids_max=9), prefetch=2))
    change = difference(replace(plan(), workers=(before,)), replace(plan(), workers=(after,)))
    assert (change.changed, change.adjusted) == (("emails",), ())


def test_a_plan_survives_the_way_to_the_daemon() -> None:
    there = replace(plan(a=1), workers=(*plan(a=1).workers, replace(SPEC, limits=Limits(1, 2, 3, 4))))
    assert decode_plan(encode_plan(there)) == there


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"instance": "magic"}'])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_plan(text)
