"""One instance of the unit on a host, and what a person does with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.system.commands import Commands
from tests.system.release import CURRENT
from tests.waiting import wait_until

PRODUCE = """
import json, {module}
from celery_tasks.utils import create_worker_from
_, worker = create_worker_from({module}.{name})
print(json.dumps({code}))
"""


@dataclass(frozen=True, slots=True)
class Code:
    """User code on a host: a module in a folder, the interpreter it is written for, and what producers must know."""

    folder: str
    module: str
    python: str
    variables: dict[str, str]


class Service:
    """celery-agent@INSTANCE.service."""

    def __init__(self, host: Commands, instance: str, code: Code) -> None:
        """Nothing is written or started."""
        self.host = host
        self.instance = instance
        self.code = code
        self.user = f"celery-{instance}"
        self.unit = f"celery-agent@{instance}.service"
        self.env_file = f"/etc/celery-agent/{instance}.env"

    def configure(self, *classes: str, **settings: str) -> None:
        """Write the env file: these task classes, and settings by their names without the prefix CELERY_AGENT_."""
        lines = {
            "CELERY_AGENT_TASKS": ",".join(f"{self.code.module}:{name}" for name in classes),
            "CELERY_AGENT_PATH": self.code.folder,
            **{f"CELERY_AGENT_{name}": value for name, value in settings.items()},
            **self.code.variables,
        }
        self.write_env_file("".join(f"{name}={value}\n" for name, value in lines.items()))

    def write_env_file(self, text: str, mode: int = 0o640) -> None:
        """Write the env file as it is."""
        self.host.write(self.env_file, text, mode, group=self.user)

    def drop_in(self, name: str, text: str) -> None:
        """Add a drop-in to the unit, or remove it where the text is empty."""
        path = f"/run/systemd/system/{self.unit}.d/{name}.conf"
        if text:
            self.host.write(path, text)
        else:
            self.host.run("rm", "-f", path)
        self.host.run("systemctl", "daemon-reload")

    def systemctl(self, words: str) -> None:
        """Run systemctl with a verb and options on the unit, which has to succeed."""
        done = self.host.attempt("systemctl", *words.split(), self.unit)
        assert done.returncode == 0, f"systemctl {words} {self.unit}: {done.stderr}{self.journal()[-4000:]}"

    def reset(self) -> None:
        """Stop and forget the instance: not enabled, no drop-ins of a test, no env file, nothing in its queues."""
        self.host.attempt("systemctl", "kill", "--signal=KILL", self.unit)
        self.host.attempt("systemctl", "disable", "--now", self.unit)
        self.host.run("rm", "-rf", self.env_file, f"/run/systemd/system/{self.unit}.d")
        self.host.run("systemctl", "daemon-reload")
        self.host.attempt("systemctl", "reset-failed", self.unit)

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        return self.host.run("systemctl", "show", "--value", f"--property={name}", self.unit).strip()

    def pids(self) -> set[int]:
        """Return the processes of the unit, as the host numbers them, but for the sampler: it comes with a question."""
        group = self.show("ControlGroup")
        if not group:
            return set()
        words = ("find", f"/sys/fs/cgroup{group}", "-name", "cgroup.procs", "-exec", "cat", "{}", "+")
        found = self.host.attempt(*words)
        sampler = self.host.attempt("pgrep", "-f", r"agent\.run\.sampler|celery-agent sampler").stdout
        return {int(pid) for pid in found.stdout.split()} - {int(pid) for pid in sampler.split()}

    def journal(self, *options: str) -> str:
        """Return what the unit has said since the host was made."""
        return self.host.run("journalctl", "--no-pager", f"--unit={self.unit}", *(options or ("--output=cat",)))

    def said_at(self, event: str) -> float:
        """Return when the newest of the agent's facts with this name was written, in seconds since 1970."""
        return max(int(record["__REALTIME_TIMESTAMP"]) / 1e6 for record in self.records(CELERY_EVENT=event))

    def records(self, **fields: str) -> list[dict[str, str]]:
        """Return the unit's records that have these fields, each whole, since the host was made."""
        wanted = [f"{name}={value}" for name, value in fields.items()]
        return [json.loads(line) for line in self.journal("--output=json", "--all", *wanted).splitlines()]

    def agent(self, *words: str) -> str:
        """Run an `agent` command as root; return what it prints."""
        return self.host.run(f"{CURRENT}/bin/agent", *words)

    def status(self) -> dict[str, Any]:
        """Return what `agent status --json` says."""
        value: dict[str, Any] = json.loads(
            self.host.attempt(f"{CURRENT}/bin/agent", "status", self.instance, "--json").stdout
        )
        return value

    def queue(self, name: str) -> dict[str, Any]:
        """Return what the status says of one queue."""
        found: dict[str, Any] = next(queue for queue in self.status()["queues"] if queue["queue"] == name)
        return found

    def wait_until_consuming(self) -> None:
        """Return when every queue has its consumer."""
        done = self.host.attempt(f"{CURRENT}/bin/agent", "status", self.instance, "--wait", "60")
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.journal()[-4000:]}"

    def send(self, name: str, *arguments: object) -> Any:
        """Send a task to a class's queue as a producer does; return its result."""
        return self.produce(name, f"worker.delay(*{arguments!r}).get(timeout=60)")

    def send_and_leave(self, name: str, *arguments: object) -> None:
        """Send a task and do not wait for it."""
        self.produce(name, f"worker.delay(*{arguments!r}).id")

    def produce(self, name: str, code: str) -> Any:
        """Run producer code that has `worker`, the task of a class; return what it evaluates to."""
        script = PRODUCE.format(module=self.code.module, name=name, code=code)
        variables = {**self.code.variables, "PYTHONPATH": self.code.folder, "RABBITMQ_PWD": PASSWORD}
        words = [f"{name}={value}" for name, value in variables.items()]
        return json.loads(self.host.run("env", *words, self.code.python, "-c", script))

    def wait_for_task(self, queue: str) -> None:
        """Return when a task of the queue is running."""
        wait_until(lambda: self.queue(queue)["active_count"] > 0, 60, f"{queue} runs a task")


PASSWORD = "jR7-Kq2.zT"  # of all users of the broker
