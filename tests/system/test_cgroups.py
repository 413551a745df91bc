"""Cgroups under a real systemd: who is in which, and that nothing outlives its worker.

Which controllers there are depends on the machine; `tests/vm` has them all, and sees limits enforced.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.decide.limits import CONTROLLERS
from tests.system.fleet import Fleet
from tests.system.service import Service
from tests.waiting import wait_until

WATCHER = "magic%2Ewatcher."

STRAY = """
import os, subprocess, time
import celery

class Stray(celery.Task):
    name = "stray"

    def run(self, seconds):
        # What has a session of its own and no parent is out of the reach of any process group.
        child = os.fork()
        if child == 0:
            os.setsid()
            subprocess.Popen(["sleep", "4711"], start_new_session=True)
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(seconds)
"""


@pytest.fixture
def stray(fleet: Fleet) -> Iterator[Service]:
    """The instance magic with a task that leaves a process behind, running."""
    fleet.node.write("/srv/magic/stray_tasks.py", STRAY)
    service = Service(fleet.node, "magic", replace(fleet.magic.code, module="stray_tasks"))
    service.configure("Stray")
    service.systemctl("start")
    yield service
    service.reset()
    fleet.broker.run("rabbitmqctl", "--quiet", "purge_queue", "--vhost=magic", "stray")  # what was given back


def top(service: Service) -> str:
    return f"/sys/fs/cgroup{service.show('ControlGroup')}"


def groups(service: Service) -> dict[str, set[int]]:
    """Return the cgroups of the agent and its workers, with their processes."""
    return {name: pids for name, pids in _all_groups(service).items() if not name.startswith(WATCHER)}


def _all_groups(service: Service) -> dict[str, set[int]]:
    script = 'cd "$0" && for each in */; do echo $each $(cat $each/cgroup.procs); done'
    found = service.host.run("sh", "-c", script, top(service))
    lines = (line.split() for line in found.splitlines())
    return {name.rstrip("/"): {int(pid) for pid in pids} for name, *pids in lines}


def strays(service: Service) -> str:
    return service.host.attempt("pgrep", "-f", "sleep 4711").stdout


def test_the_agent_and_each_worker_have_their_cgroup(stray: Service) -> None:
    found = groups(stray)
    assert set(found) == {"agent", "stray.1"}
    assert int(stray.show("MainPID")) in found["agent"]
    assert stray.queue("stray")["pid"] in found["stray.1"]
    assert len(found["stray.1"]) == 2  # with its pool process
    assert stray.host.run("cat", f"{top(stray)}/cgroup.procs") == ""
    watchers = wait_until(lambda: [pids for name, pids in _all_groups(stray).items() if name.startswith(WATCHER)])
    assert [len(each) for each in watchers] == [1]


def test_nothing_that_a_task_has_started_outlives_its_worker(stray: Service) -> None:
    stray.send_and_leave("Stray", 600)
    wait_until(lambda: strays(stray), what="the task leaves a process behind")
    stray.host.run("kill", "-KILL", str(stray.queue("stray")["pid"]))
    wait_until(lambda: "stray.1" not in groups(stray), what="the worker's cgroup is gone")
    # The task was given back, and the next worker runs it.
    wait_until(lambda: set(groups(stray)) == {"agent", "stray.2"})
    before = set(strays(stray).split())
    assert before <= {str(pid) for pid in groups(stray)["stray.2"]}


def test_a_worker_and_its_replacement_are_apart_until_the_old_one_is_gone(stray: Service) -> None:
    stray.send_and_leave("Stray", 10)
    wait_until(lambda: strays(stray))
    stray.configure("Stray", DEFAULTS__PREFETCH="2")
    stray.systemctl("reload")
    wait_until(lambda: set(groups(stray)) == {"agent", "stray.1", "stray.2"})
    wait_until(lambda: set(groups(stray)) == {"agent", "stray.2"}, 60)
    assert strays(stray) == ""


def test_the_status_says_what_systemd_has_delegated(stray: Service) -> None:
    there = set(stray.host.run("cat", f"{top(stray)}/cgroup.controllers").split())
    enforcement = stray.status()["enforcement"]
    assert enforcement["kill"] == "cgroup"
    assert {name for name in CONTROLLERS if enforcement[name] == "cgroup"} == there & set(CONTROLLERS)
    assert set(stray.host.run("cat", f"{top(stray)}/cgroup.subtree_control").split()) == there & set(CONTROLLERS)
    assert (enforcement["reason"] is None) == (set(CONTROLLERS) <= there)
