"""Limits: what is to be written where, and what remains where it can't be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.endings import out_of_memory
from agent.decide.events import OutOfMemory
from agent.decide.limits import (
    CGROUP,
    CONTROLLERS,
    NOTHING,
    PROCESS_GROUP,
    RLIMIT,
    Enforcement,
    contents,
    group_name,
    memory_events,
    unenforced,
    with_cgroup,
    without_cgroup,
)
from agent.guest.spec import Limits
from agent.run.cgroups import own_group

ALL = frozenset(CONTROLLERS)
EVENTS = "low 0\nhigh 0\nmax 12\noom {oom}\noom_kill {oom_kill}\noom_group_kill 0\n"


def test_each_limit_has_its_file() -> None:
    assert dict(contents(Limits(memory_max=4096, memory_high=2048, cpu_weight=50, pids_max=7), ALL)) == {
        "memory.max": "4096",
        "memory.high": "2048",
        "cpu.weight": "50",
        "pids.max": "7",
    }


def test_a_limit_that_was_taken_away_is_written_too() -> None:
    assert dict(contents(Limits(), ALL)) == {
        "memory.max": "max",
        "memory.high": "max",
        "cpu.weight": "100",
        "pids.max": "max",
    }


def test_nothing_is_written_for_a_controller_that_is_not_there() -> None:
    assert contents(Limits(memory_max=1, pids_max=7), frozenset({"pids"})) == (("pids.max", "7"),)


def test_without_a_cgroup_processes_are_held_to_the_memory_limit_by_themselves() -> None:
    assert without_cgroup("why") == Enforcement(PROCESS_GROUP, RLIMIT, NOTHING, NOTHING, "why")


def test_each_controller_is_fallen_back_from_by_itself() -> None:
    found = with_cgroup({"cpu": None, "memory": "not delegated", "pids": "busy"}, CGROUP)
    assert found == Enforcement(CGROUP, RLIMIT, CGROUP, NOTHING, "memory not delegated; pids busy")
    assert found.by_cgroup() == {"cpu"}


def test_controllers_that_are_missing_for_one_reason_are_told_together() -> None:
    assert with_cgroup(dict.fromkeys(CONTROLLERS, "not delegated"), CGROUP).reason == "cpu, memory, pids not delegated"


@pytest.mark.parametrize(
    ("enforcement", "names"),
    [
        (with_cgroup(dict.fromkeys(CONTROLLERS), CGROUP), ()),
        (without_cgroup("why"), ("MEMORY_HIGH", "CPU_WEIGHT", "PIDS_MAX")),
        (with_cgroup({"cpu": None, "memory": "no", "pids": None}, CGROUP), ("MEMORY_HIGH",)),
    ],
)
def test_what_nothing_enforces_is_known(enforcement: Enforcement, names: tuple[str, ...]) -> None:
    assert unenforced(Limits(memory_max=2, memory_high=1, cpu_weight=1, pids_max=1), enforcement) == names


def test_what_is_not_limited_is_not_missed() -> None:
    assert unenforced(Limits(), without_cgroup("why")) == ()


@pytest.mark.parametrize(
    ("queue", "name"),
    [("emails", "emails.3"), ("mails/in.out", "mails%2Fin%2Eout.3"), ("größe", "gr%C3%B6%C3%9Fe.3"), (".", "%2E.3")],
)
def test_a_group_is_called_as_its_queue(queue: str, name: str) -> None:
    assert group_name(queue, 3) == name


@given(st.text(min_size=1, max_size=255), st.text(min_size=1, max_size=255), st.integers(1, 10**9))
def test_two_queues_never_share_a_group(one: str, other: str, generation: int) -> None:
    assert (group_name(one, generation) == group_name(other, generation)) == (one == other)


@given(st.text(min_size=1, max_size=255), st.integers(1, 10**9))
def test_a_group_s_name_is_a_folder_s(queue: str, generation: int) -> None:
    name = group_name(queue, generation)
    assert len(name.encode()) <= 255
    assert "/" not in name
    assert "\n" not in name


def test_a_kill_by_the_worker_s_own_limit_says_which() -> None:
    before, after = (memory_events(EVENTS.format(oom=count, oom_kill=count)) for count in (1, 2))
    assert out_of_memory(before, after, Limits(memory_max=7)) == OutOfMemory(1, 7)


def test_a_kill_where_the_worker_has_not_met_its_own_limit_is_another_s() -> None:
    before, after = memory_events(EVENTS.format(oom=1, oom_kill=1)), memory_events(EVENTS.format(oom=1, oom_kill=3))
    assert out_of_memory(before, after, Limits(memory_max=7)) == OutOfMemory(2, None)


def test_a_limit_that_was_met_without_a_kill_is_no_news() -> None:
    before, after = memory_events(EVENTS.format(oom=1, oom_kill=1)), memory_events(EVENTS.format(oom=2, oom_kill=1))
    assert out_of_memory(before, after, Limits(memory_max=7)) is None


CGROUP2 = "30 24 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
HYBRID = (
    "31 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup memory\n40 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 x"
)
BOUND = "30 24 0:27 /docker/a\\040b /sys/fs/cgroup ro shared:3 - cgroup2 cgroup2 rw"


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "path"),
    [
        ("0::/system.slice/a.service\n", CGROUP2, "/sys/fs/cgroup/system.slice/a.service"),
        ("0::/\n", CGROUP2, "/sys/fs/cgroup/"),
        ("4:memory:/x\n0::/a.service\n", HYBRID, "/sys/fs/cgroup/unified/a.service"),
        ("0::/docker/a b/c\n", BOUND, "/sys/fs/cgroup/c"),
    ],
)
def test_a_process_s_cgroup_is_found_wherever_it_is_mounted(cgroup: str, mountinfo: str, path: str) -> None:
    assert str(own_group(cgroup, mountinfo)) == path.rstrip("/")


@pytest.mark.parametrize(
    ("cgroup", "mountinfo"), [("4:memory:/x\n", HYBRID), ("0::/\n", ""), ("0::/elsewhere\n", BOUND)]
)
def test_without_cgroup_v2_there_is_none(cgroup: str, mountinfo: str) -> None:
    assert own_group(cgroup, mountinfo) is None
