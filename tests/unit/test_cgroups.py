"""What a worker's group remembers of its memory.events between two looks at them."""

from pathlib import Path

from agent.decide.events import OutOfMemory
from agent.guest.spec import Limits
from agent.run.cgroups import Group


def test_a_limit_that_was_met_before_one_look_and_killed_for_after_it_is_the_reason() -> None:
    group = Group(Path("emails.1"), Limits(memory_max=7), None, {"oom": 0, "oom_kill": 0})
    assert group.kill_in({"oom": 1, "oom_kill": 0}) is None
    assert group.kill_in({"oom": 1, "oom_kill": 1}) == OutOfMemory(1, 7)


def test_a_kill_is_told_once_and_its_limit_is_no_reason_for_the_next() -> None:
    group = Group(Path("emails.1"), Limits(memory_max=7), None, {"oom": 0, "oom_kill": 0})
    group.kill_in({"oom": 1, "oom_kill": 1})
    assert group.kill_in({"oom": 1, "oom_kill": 1}) is None
    assert group.kill_in({"oom": 1, "oom_kill": 2}) == OutOfMemory(1, None)
