"""The unit's life on a booted host: started, stopped, reloaded, enabled, killed, hung, and rebooted, with real tasks."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.system.fleet import Fleet
from tests.system.service import Service
from tests.waiting import wait_until

WAKE = "/srv/magic/wake"  # while it is there, tasks don't sleep
LONG = 600  # seconds; a task of that length runs until it is woken


@pytest.fixture
def magic(fleet: Fleet) -> Iterator[Service]:
    """The instance magic, configured and off."""
    fleet.magic.configure("Magic", "Sleep")
    yield fleet.magic
    fleet.magic.reset()
    fleet.node.run("rm", "-f", WAKE)


@pytest.fixture
def numbers(fleet: Fleet) -> Iterator[Service]:
    """The instance numbers, whose user code runs in an environment of its own; configured and off."""
    fleet.numbers.configure("Spectrum", PYTHON=fleet.numbers.code.python, DEFAULTS__CONCURRENCY="2")
    yield fleet.numbers
    fleet.numbers.reset()


def test_start_returns_when_the_queues_are_consumed(fleet: Fleet, magic: Service) -> None:
    magic.systemctl("start")
    consumers = fleet.broker.run("rabbitmqctl", "--quiet", "list_consumers", "--vhost=magic", "--no-table-headers")
    assert sorted(line.split("\t")[0] for line in consumers.splitlines()) == ["sleep", "unique_magic_task"]
    assert magic.show("StatusText") == "consuming from 2 queues"
    assert magic.send("Magic", 1, 2, 3) == 6


def test_stop_leaves_no_process_and_is_no_failure(magic: Service) -> None:
    magic.systemctl("start")
    assert len(magic.pids()) >= 4
    magic.systemctl("stop")
    assert (magic.show("ActiveState"), magic.show("Result")) == ("inactive", "success")
    assert magic.pids() == set()
    assert magic.host.attempt("test", "-e", "/run/celery-agent/magic").returncode == 1


def test_restart_brings_another_agent_that_serves(magic: Service) -> None:
    magic.systemctl("start")
    before = magic.pids()
    magic.systemctl("restart")
    assert magic.pids().isdisjoint(before)
    assert magic.send("Magic", 1, 1, 1) == 3


def test_reload_adds_a_queue_and_leaves_agent_and_other_queues_alone(magic: Service) -> None:
    magic.configure("Magic")
    magic.systemctl("start")
    agent, worker = magic.show("MainPID"), magic.queue("unique_magic_task")["pid"]
    magic.configure("Magic", "Sleep")
    magic.systemctl("reload")
    magic.wait_until_consuming()
    assert magic.send("Sleep", 0.1) == 0.1
    assert (magic.show("MainPID"), magic.queue("unique_magic_task")["pid"]) == (agent, worker)
    assert (magic.show("ActiveState"), magic.show("StatusText")) == ("active", "consuming from 2 queues")


def test_a_refused_reload_fails_says_why_and_changes_nothing(magic: Service) -> None:
    magic.systemctl("start")
    wait_until(lambda: magic.status()["watcher"] == "", what="the watcher works")
    before = magic.pids()
    magic.write_env_file("CELERY_AGENT_TASKS=magic_tasks:Magick\nCELERY_AGENT_PATH=/srv/magic\n")
    done = magic.host.attempt("systemctl", "reload", magic.unit)
    assert done.returncode == 1
    assert magic.show("ActiveState") == "active"
    assert "last reload refused: /etc/celery-agent/magic.env:1: " in magic.show("StatusText")
    assert "Did you mean" in magic.show("StatusText")
    assert magic.pids() == before
    magic.configure("Magic", "Sleep")
    magic.systemctl("reload")
    assert magic.show("StatusText") == "consuming from 2 queues"


def test_a_signalled_reload_is_seen_as_one_by_systemd(magic: Service) -> None:
    magic.systemctl("start")
    magic.write_env_file("CELERY_AGENT_TASKS=slow:Slow\nCELERY_AGENT_PATH=/srv/magic\n")
    magic.host.write(
        "/srv/magic/slow.py", f"import os, time\nwhile not os.path.exists({WAKE!r}):\n    time.sleep(0.05)\n"
    )
    magic.systemctl("kill --kill-who=main --signal=HUP")
    wait_until(lambda: magic.show("ActiveState") == "reloading", what="systemd knows of the reload")
    magic.host.write(WAKE, "")
    wait_until(lambda: magic.show("ActiveState") == "active", what="the reload is over")


def test_an_enabled_instance_serves_again_after_a_reboot_which_lost_and_repeated_no_task(
    fleet: Fleet, magic: Service
) -> None:
    magic.systemctl("enable")
    magic.systemctl("start")
    magic.send_and_leave("Sleep", 10)
    magic.wait_for_task("sleep")
    assert fleet.node.reboot() == "running"
    assert magic.send("Magic", 1, 2, 3) == 6
    assert "succeeded in 10." in magic.journal("--boot=-1", "--output=cat")
    assert magic.send("Sleep", 0.1) == 0.1  # had the other one not been acknowledged in time, it would come first
    assert magic.queue("sleep")["succeeded"] == 2  # each once: what is counted outlasts the reboot


def test_a_task_that_a_power_cut_interrupted_runs_again_without_anybody_s_doing(fleet: Fleet, magic: Service) -> None:
    magic.systemctl("enable")
    magic.systemctl("start")
    magic.send_and_leave("Sleep", LONG)
    magic.wait_for_task("sleep")
    fleet.node.crash()
    fleet.node.write(WAKE, "")
    fleet.node.start()
    assert fleet.node.wait_until_booted() == "running"
    assert magic.send("Magic", 4, 5, 6) == 15
    # The broker must notice first that the old connection is dead: by its next heartbeat, or by the second it misses.
    wait_until(lambda: magic.queue("sleep")["succeeded"] == 1, 90, "the interrupted task has run")


def test_start_with_the_broker_away_succeeds_and_waits(fleet: Fleet, magic: Service) -> None:
    fleet.lab.partition(fleet.broker, fleet.node)
    try:
        magic.systemctl("start")
        assert magic.show("ActiveState") == "active"
        said = "consuming from 0 of 2 queues, 2 waiting for broker; the broker can"  # by the watcher, when it has tried
        wait_until(lambda: magic.show("StatusText").startswith(said), what="systemd shows what is waited for")
    finally:
        fleet.lab.heal(fleet.broker, fleet.node)
    magic.wait_until_consuming()
    assert magic.show("StatusText") == "consuming from 2 queues"
    assert magic.send("Magic", 1, 2, 3) == 6


def test_stop_lets_a_task_end_that_takes_longer_than_the_stop_timeout(
    magic: Service, measured: Callable[[str], None]
) -> None:
    magic.drop_in("timeout", "[Service]\nTimeoutStopSec=5\n")
    magic.systemctl("start")
    magic.send_and_leave("Sleep", 20)
    magic.wait_for_task("sleep")
    begun = time.monotonic()
    magic.systemctl("stop")
    measured(f"stop during a 20 s task, TimeoutStopSec=5: {time.monotonic() - begun:.1f} s, and the task ended")
    assert magic.show("Result") == "success"
    assert "succeeded in 20." in magic.journal("--lines=50")


def test_when_the_agent_is_killed_nothing_survives_and_another_serves(
    magic: Service, measured: Callable[[str], None]
) -> None:
    magic.systemctl("start")
    magic.send_and_leave("Sleep", LONG)
    magic.wait_for_task("sleep")
    before = magic.pids()
    pause = float(magic.show("RestartUSec").removesuffix("s"))
    killed = float(magic.host.run("sh", "-c", f"date +%s.%N && kill -KILL {magic.show('MainPID')}"))
    wait_until(lambda: magic.show("NRestarts") == "1" and magic.show("ActiveState") == "active", 60, "another agent")
    magic.wait_until_consuming()
    assert magic.pids().isdisjoint(before)
    alive = magic.host.attempt("sh", "-c", f"ps -o pid=,args= -p {','.join(map(str, before))}").stdout
    assert alive == ""
    took = magic.said_at("worker-consuming") - killed
    measured(f"SIGKILL of the agent: another consumes after {took:.2f} s, RestartSec={pause:g}")
    magic.host.write(WAKE, "")
    wait_until(lambda: magic.queue("sleep")["succeeded"] == 1, 60, "the interrupted task has run")


def test_an_agent_that_hangs_is_restarted_by_the_watchdog(magic: Service, measured: Callable[[str], None]) -> None:
    magic.drop_in("watchdog", "[Service]\nWatchdogSec=3\n")
    magic.systemctl("start")
    before = magic.pids()
    stopped = float(magic.host.run("sh", "-c", f"date +%s.%N && kill -STOP {magic.show('MainPID')}"))
    wait_until(lambda: magic.show("NRestarts") == "1" and magic.show("ActiveState") == "active", 60, "another agent")
    measured(
        f"SIGSTOP of the agent: another consumes after {magic.said_at('worker-consuming') - stopped:.2f} s, WatchdogSec=3"
    )
    assert magic.pids().isdisjoint(before)
    assert "Watchdog timeout" in magic.journal()
    assert 'File "' in magic.journal()  # where it was when SIGABRT came
    assert magic.send("Magic", 1, 2, 3) == 6


def test_an_agent_that_is_fed_longer_than_the_watchdog_allows_is_left_alone(magic: Service) -> None:
    magic.drop_in("watchdog", "[Service]\nWatchdogSec=3\n")
    magic.systemctl("start")
    before = magic.pids()
    assert magic.send("Sleep", 7) == 7
    assert (magic.show("NRestarts"), magic.pids()) == ("0", before)


def test_two_instances_with_different_code_are_stopped_one_by_one(magic: Service, numbers: Service) -> None:
    magic.systemctl("start")
    numbers.systemctl("start")
    assert magic.send("Magic", 1, 2, 3) == 6
    assert numbers.send("Spectrum", 50)["largest"] == pytest.approx(50)
    serving = numbers.pids()
    magic.systemctl("stop")
    assert magic.pids() == set()
    assert numbers.pids() >= serving
    assert numbers.send("Spectrum", 50)["cpus"]
    numbers.systemctl("stop")
    assert numbers.pids() == set()


def test_the_target_stands_for_all_enabled_instances(magic: Service, numbers: Service) -> None:
    for service in (magic, numbers):
        service.systemctl("enable")
    magic.host.run("systemctl", "start", "celery-agent.target")
    assert [magic.show("ActiveState"), numbers.show("ActiveState")] == ["active", "active"]
    magic.host.run("systemctl", "stop", "celery-agent.target")
    for service in (magic, numbers):  # systemctl waits for the target alone
        wait_until(partial(_is_inactive, service), 60, f"{service.unit} stopped")
        assert service.show("Result") == "success"


def _is_inactive(service: Service) -> bool:
    return service.show("ActiveState") == "inactive"
