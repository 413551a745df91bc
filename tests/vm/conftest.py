"""The guest of all tests here: the unit on a kernel whose controllers are all on cgroup v2, a broker beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.node import ROOT
from tests.rabbitmq import RabbitMQ
from tests.system.fleet import DEPLOY, install_commands
from tests.system.release import CURRENT, node_image
from tests.system.service import PRODUCE, Code, Service
from tests.vm.vm import THIS_MACHINE, VM
from tests.waiting import wait_until

CODE = Path(__file__).with_name("tasks.py")
PATIENCE = 600.0  # seconds; an emulated machine is thirty times slower, and this one may be busy
SETTINGS = {
    "DEFAULTS__START_TIMEOUT": "600",
    "IMPORT_TIMEOUT": "240",
    "QUEUES__hungry__MEMORY_MAX": "100",
    "QUEUES__hungry__MEMORY_HIGH": "90",
    "QUEUES__alone__MEMORY_MAX": "100",
    "QUEUES__alone__POOL": "solo",
    "QUEUES__fertile__PIDS_MAX": "20",
    "QUEUES__light__CPU_WEIGHT": "25",
    "QUEUES__light__CONCURRENCY": "2",
    "QUEUES__heavy__CPU_WEIGHT": "100",
    "QUEUES__heavy__CONCURRENCY": "2",
}
CLASSES = ("Hungry", "Alone", "Other", "Fertile", "Light", "Heavy")

_MEASURED = pytest.StashKey[str]()


class Guest(Service):
    """The instance magic on the guest; what is sent to it is sent from this machine."""

    def __init__(self, vm: VM, folder: Path, broker: RabbitMQ, vhost: str) -> None:
        """Install the unit by its documentation's commands, and the user code; nothing is started."""
        self.vm = vm
        self._folder = folder
        self._variables = broker.variables(vhost)
        seen = {**self._variables, "RABBITMQ_HOST": THIS_MACHINE}
        super().__init__(vm, "magic", Code("/srv/magic", "tasks", f"{CURRENT}/bin/python", seen))
        (folder / "tasks.py").write_text(CODE.read_text())
        (folder / "celery_tasks").symlink_to(ROOT / "celery_tasks")
        vm.copy(DEPLOY, "/root/deploy")
        vm.copy(ROOT / "celery_tasks", "/srv/magic/celery_tasks")
        vm.write("/srv/magic/tasks.py", CODE.read_text())
        for commands in install_commands()[:2]:
            vm.run("sh", "-euc", f"cd /root/deploy\n{commands}")
        self.drop_in("patience", f"[Service]\nTimeoutStartSec={PATIENCE:g}\nWatchdogSec={PATIENCE:g}\n")

    def produce(self, name: str, code: str) -> Any:
        """Run producer code that has `worker`, the task of a class, here; return what it evaluates to."""
        done = subprocess.run(
            [sys.executable, "-c", PRODUCE.format(module="tasks", name=name, code=code)],
            env={**os.environ, **self._variables, "PYTHONPATH": str(self._folder)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def send(self, name: str, *arguments: object) -> Any:
        """Send a task; return its result."""
        return self.produce(name, f"worker.delay(*{arguments!r}).get(timeout={PATIENCE})")

    def wait_until_consuming(self) -> None:
        """Return when every queue has its consumer."""
        words = (f"{CURRENT}/bin/agent", "status", self.instance, "--wait", f"{PATIENCE:g}")
        done = self.vm.attempt(*words, timeout=PATIENCE)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.journal()[-4000:]}"

    def group(self, queue: str) -> str:
        """Return the folder of a queue's present cgroup."""
        return f"/sys/fs/cgroup{self.show('ControlGroup')}/{queue}.{self.queue(queue)['generation']}"

    def wait_for(self, queue: str, claim: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Return a queue's status once the claim is true of it."""

        def found() -> dict[str, Any] | None:
            status = self.queue(queue)
            return status if claim(status) else None

        seen = wait_until(found, PATIENCE, f"{queue} {what}")
        assert seen is not None
        return seen


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory, broker: RabbitMQ, pytestconfig: pytest.Config) -> Iterator[Guest]:
    """The guest, its instance running and consuming; one for all tests, each of which has queues of its own."""
    broker.add_vhost("vm")
    image = node_image(tmp_path_factory.mktemp("image"), "kernel")
    with closing(VM(image, tmp_path_factory.mktemp("vm"))) as vm:
        begun = time.monotonic()
        vm.start()
        booted = time.monotonic()
        guest = Guest(vm, tmp_path_factory.mktemp("code"), broker, "vm")
        guest.configure(*CLASSES, **SETTINGS)
        vm.run("systemctl", "start", guest.unit, timeout=PATIENCE)
        guest.wait_until_consuming()
        pytestconfig.stash[_MEASURED] = (
            f"boot {booted - begun:.0f} s, consuming {time.monotonic() - booted:.0f} s later"
        )
        yield guest
    broker.delete_vhost("vm")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _MEASURED in config.stash:
        terminalreporter.section("the virtual machine")
        terminalreporter.write_line(config.stash[_MEASURED])
