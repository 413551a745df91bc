"""Limits that a kernel enforces: what a queue takes is taken from nobody else, and what becomes of it is told."""

from collections.abc import Iterator

import pytest

from tests.vm.conftest import CLASSES, PATIENCE, SETTINGS, Guest
from tests.waiting import wait_until

MIB = 1_048_576


def test_everything_is_enforced_by_cgroups(guest: Guest) -> None:
    assert guest.status()["enforcement"] == {
        "kill": "cgroup",
        "memory": "cgroup",
        "cpu": "cgroup",
        "pids": "cgroup",
        "reason": None,
    }
    assert "  limits by cgroup: cpu, memory, pids\n" in guest.agent("status", "magic")


@pytest.mark.parametrize(
    ("queue", "file", "text"),
    [
        ("hungry", "memory.max", str(100 * MIB)),
        ("hungry", "memory.high", str(90 * MIB)),
        ("fertile", "pids.max", "20"),
        ("light", "cpu.weight", "25"),
        ("other", "memory.max", "max"),
        ("other", "cpu.weight", "100"),
    ],
)
def test_a_queue_s_limits_are_its_cgroup_s(guest: Guest, queue: str, file: str, text: str) -> None:
    assert guest.vm.run("cat", f"{guest.group(queue)}/{file}").strip() == text
    assert str(guest.queue(queue)["pid"]) in guest.vm.run("cat", f"{guest.group(queue)}/cgroup.procs").split()


def test_a_pool_process_that_takes_too_much_is_killed_and_told_of_and_nobody_else_is_touched(guest: Guest) -> None:
    before = {queue["queue"]: queue["pid"] for queue in guest.status()["queues"]}
    pool_process = guest.send("Other")
    guest.send_and_leave("Other", "sleep", 5)
    assert guest.send("Hungry", 200) == "redelivered"  # by another pool process of the same worker
    queue = guest.wait_for("hungry", lambda queue: bool(queue["oom_kills"]), "was out of memory")
    assert queue["last_exit"] == "pool process killed: out of memory (memory.max 100 MiB)"
    assert queue["restarts"] == 0
    assert {queue["queue"]: queue["pid"] for queue in guest.status()["queues"]} == before
    assert guest.send("Other") == pool_process
    assert [each["last_exit"] for each in guest.status()["queues"] if each["queue"] != "hungry"] == [None] * 5
    (record,) = guest.records(CELERY_EVENT="out-of-memory", CELERY_QUEUE="hungry")
    assert (record["PRIORITY"], record["CELERY_LIMIT"]) == ("4", str(100 * MIB))
    assert (guest.show("ActiveState"), guest.show("NRestarts")) == ("active", "0")


def test_a_worker_that_takes_too_much_is_killed_for_it_and_replaced(guest: Guest) -> None:
    other = guest.queue("other")["pid"]
    assert guest.send("Alone", 200) == "redelivered"
    queue = guest.wait_for("alone", lambda queue: queue["restarts"] == 1, "was replaced")
    assert queue["last_exit"] == "killed: out of memory (memory.max 100 MiB)"
    assert queue["oom_kills"] == 1
    assert guest.queue("other")["pid"] == other
    assert "alone: last ended unasked: killed: out of memory (memory.max 100 MiB)" in guest.agent("status", "magic")


def test_what_a_task_may_take_changes_with_a_reload_and_its_worker_stays(guest: Guest) -> None:
    before = guest.queue("hungry")
    guest.configure(*CLASSES, **{**SETTINGS, "QUEUES__hungry__MEMORY_MAX": "400", "QUEUES__hungry__MEMORY_HIGH": ""})
    assert "adjusted hungry" in guest.vm.run("/opt/celery-agent/current/bin/agent", "reload", "magic", timeout=PATIENCE)
    assert guest.send("Hungry", 200) == 200 * MIB
    after = guest.queue("hungry")
    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    assert after["limits"]["memory_max"] == 400 * MIB


def test_a_kill_that_was_not_for_the_queue_s_own_limit_is_told_as_that(guest: Guest) -> None:
    used = int(guest.show("MemoryCurrent"))
    guest.vm.run("systemctl", "set-property", "--runtime", guest.unit, f"MemoryMax={used + 100 * MIB}")
    try:
        guest.send("Other", "eat", 300)
    finally:
        guest.vm.run("systemctl", "set-property", "--runtime", guest.unit, "MemoryMax=infinity")
    queue = guest.wait_for("other", lambda queue: bool(queue["oom_kills"]), "was out of memory")
    assert queue["last_exit"] == "pool process killed: out of memory (of the service or the node)"
    assert guest.show("ActiveState") == "active"


def test_a_queue_that_starts_more_and_more_processes_keeps_no_other_from_starting_one(guest: Guest) -> None:
    assert 0 < guest.send("Fertile", 50) < 20
    assert guest.send("Other") > 0


def test_nothing_that_a_task_has_started_outlives_its_worker(guest: Guest) -> None:
    group = guest.group("fertile")
    assert guest.send("Fertile", 5, True) == 5
    assert len(guest.vm.run("pgrep", "-f", "sleep 4711").split()) == 5
    before = guest.queue("fertile")
    guest.vm.run("kill", "-KILL", str(before["pid"]))
    guest.wait_for("fertile", lambda queue: queue["generation"] == before["generation"] + 1, "was replaced")
    wait_until(lambda: guest.vm.attempt("pgrep", "-f", "sleep 4711").returncode == 1, what="all are gone")
    wait_until(lambda: guest.vm.attempt("test", "-e", group).returncode == 1, what="its cgroup is gone")


@pytest.fixture
def burning(guest: Guest) -> Iterator[Guest]:
    """The guest, each of whose two processors is wanted by one task of each of two queues."""
    for name in ("Light", "Light", "Heavy", "Heavy"):
        guest.send_and_leave(name)
    yield guest
    guest.vm.run("touch", "/var/lib/celery-agent/magic/enough")


def test_processors_are_shared_by_weight(burning: Guest) -> None:
    for queue in ("light", "heavy"):
        burning.wait_for(queue, lambda status: status["active_count"] == 2, "burns with both hands")
    groups = [burning.group(queue) for queue in ("light", "heavy")]
    before = [usage(burning, group) for group in groups]
    wait_until(lambda: sum(usage(burning, group) for group in groups) - sum(before) > 10e6, PATIENCE, "10 s of CPU")
    light, heavy = (usage(burning, group) - used for group, used in zip(groups, before, strict=True))
    assert heavy > 2 * light  # 4 times as much by their weights, and there is more than these two to run


def usage(guest: Guest, group: str) -> int:
    """Return the microseconds of CPU time that a cgroup has had."""
    lines = guest.vm.run("cat", f"{group}/cpu.stat").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("usage_usec")))
