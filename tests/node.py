"""A node for tests: agents as a person would start them, in folders of their own, against a vhost of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agent.cli.waiting import wait_until_consuming
from agent.config.instances import Folders
from agent.control import client
from agent.decide.status_json import encode_status
from agent.errors import AgentError
from tests.producers import start
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")
EACH_POOL = {"alpha": "solo", "beta": "threads", "gamma": "prefork"}  # side by side, where a test takes long
TASKS = (
    f"NAMES = {NAMES}"
    """
import os, socket, stat, sys, time
import celery

def make(name):
    class Task(celery.Task):
        def run(self, action="return", value=None):
            if action == "sleep":
                time.sleep(value)
            elif action == "wait for a file":
                while not os.path.exists(value):
                    time.sleep(0.05)
            elif action == "fail":
                raise ValueError(value)
            elif action == "environment":
                return os.environ.get(value)
            elif action == "allocate":
                return len(bytearray(value * 1_048_576))
            elif action == "retry" and self.request.retries < value:
                raise self.retry(countdown=1)
            elif action == "abort":
                os.abort()
            elif action == "object":
                return object()
            elif action == "pid":
                return os.getpid()
            elif action == "scribble":  # into the one socket by which a worker reports
                for name in os.listdir("/proc/self/fd"):
                    if os.path.exists(f"/proc/self/fd/{name}") and stat.S_ISSOCK(os.stat(f"/proc/self/fd/{name}").st_mode):
                        with socket.socket(fileno=os.dup(int(name))) as found:
                            if found.type == socket.SOCK_SEQPACKET:
                                found.send(b"not for you")
            return value
    Task.name = name
    Task.__name__ = Task.__qualname__ = name.capitalize()
    return Task

for name in NAMES:
    globals()[name.capitalize()] = make(name)
"""
)


class Node:
    """One instance, called magic unless told otherwise, with the queues alpha, beta, gamma, delta, epsilon to choose from."""

    def __init__(self, folder: Path, broker: RabbitMQ, vhost: str, instance: str = "magic") -> None:
        """Prepare folders and user code; nothing is started."""
        self.instance = instance
        self.broker = broker
        self.vhost = vhost
        self.variables = broker.variables(vhost)  # what celery_tasks reads, for the node and for producers
        self.config = folder / "etc"
        self.runtime = folder / "run"
        self.code = folder / "code"
        self.log = folder / f"{instance}.log"
        for each in (self.config, self.runtime, self.code):
            each.mkdir(exist_ok=True)
        (self.code / "greek.py").write_text(TASKS)
        (self.code / "celery_tasks").symlink_to(ROOT / "celery_tasks")  # as a submodule lies there
        self.env_file = self.config / f"{instance}.env"
        self.process: subprocess.Popen[bytes] | None = None
        self.wrapper: Sequence[str] = ()  # what the agent is started by
        self.interpreter = sys.executable  # what user code runs in, and producers

    def configure(self, *queues: str, **settings: str) -> None:
        """Write the env file: these queues, and settings by their names without the prefix CELERY_AGENT_."""
        lines = {
            "CELERY_AGENT_TASKS": ",".join(f"greek:{queue.capitalize()}" for queue in queues),
            "CELERY_AGENT_PATH": str(self.code),
            **self.its_interpreter(),
            **{f"CELERY_AGENT_{name}": value for name, value in settings.items()},
            **self.variables,
        }
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def configure_pools(self, pools: Mapping[str, str], **settings: str) -> None:
        """Write the env file with a pool for each of these queues."""
        self.configure(*pools, **{f"QUEUES__{queue}__POOL": pool for queue, pool in pools.items()}, **settings)

    def its_interpreter(self) -> dict[str, str]:
        """Return the line of the env file that names the interpreter, where it is another than the agent's own."""
        return {} if self.interpreter == sys.executable else {"CELERY_AGENT_PYTHON": self.interpreter}

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment that commands are run in."""
        folders = {"CELERY_AGENT_CONFIG_DIR": str(self.config), "CELERY_AGENT_RUNTIME_DIR": str(self.runtime)}
        return {**os.environ, **folders, **variables}

    def start(self, **variables: str) -> None:
        """Start the agent; `variables` are added to its environment."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", "agent", "run", self.instance],
                env=self.environment(**variables),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an `agent` command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "agent", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """Return what `agent status --json` says of the instance; one that answers is asked without a command's start."""
        try:
            said = json.dumps(encode_status(client.status(self.runtime / self.instance)))
        except AgentError:
            said = self.run("status", self.instance, "--json").stdout
        value: dict[str, Any] = json.loads(said)
        return value

    def queue(self, name: str) -> dict[str, Any]:
        """Return what the status says of one queue."""
        found: dict[str, Any] = next(queue for queue in self.status()["queues"] if queue["queue"] == name)
        return found

    def pids(self) -> dict[str, int]:
        """Return each queue's worker pid."""
        return {queue["queue"]: queue["pid"] for queue in self.status()["queues"]}

    def wait_until_consuming(self) -> None:
        """Return when every queue has its consumer: what `agent status --wait` waits for."""
        try:
            wait_until_consuming(Folders(self.config, self.runtime), (self.instance,), 60)
        except AgentError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from error

    def wait_for(self, name: str, claim: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Return a queue's status once the queue is there and the claim is true of it."""

        def found() -> dict[str, Any] | None:
            queues = self.status().get("queues", [])
            return next((queue for queue in queues if queue["queue"] == name and claim(queue)), None)

        seen = wait_until(found, 60, f"{name} {what}")
        assert seen is not None
        return seen

    def send(self, queue: str, *args: object) -> Any:
        """Send a task the way a producer does, from a process of its own that waits; return its result."""
        return self.produce(f"print(json.dumps(worker.delay(*{args!r}).get(timeout=60)))", queue)

    def send_and_leave(self, queue: str, *args: object) -> None:
        """Send a task and do not wait for it."""
        self.produce(f"worker.delay(*{args!r}); print('null')", queue)

    def produce(self, code: str, queue: str) -> Any:
        """Run producer code that has `worker`, the task of a queue; return the JSON that it prints."""
        return self.produce_at_once(code, [queue])[queue]

    def produce_at_once(self, code: str, queues: Iterable[str]) -> dict[str, Any]:
        """Run the same producer code for each of several queues, side by side; return the JSON that each prints."""
        with ExitStack() as stack:
            producers = {queue: stack.enter_context(self.producing(code, queue)) for queue in queues}
            printed = {queue: producer.communicate(timeout=120) for queue, producer in producers.items()}
        for queue, (_, errors) in printed.items():
            assert producers[queue].returncode == 0, errors
        return {queue: json.loads(out) for queue, (out, _) in printed.items()}

    @contextmanager
    def producing(self, code: str, queue: str) -> Iterator[subprocess.Popen[str]]:
        """Start producer code that has `worker`, the task of a queue; it is ended afterwards if it still runs.

        Where something fails meanwhile, what it has written to standard error is shown.
        """
        script = (
            "import json, greek\nfrom celery_tasks.utils import create_worker_from\n"
            f"_, worker = create_worker_from(greek.{queue.capitalize()})\n{code}\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(self.code), **self.variables}
        with start(script, environment, interpreter=self.interpreter) as producer:
            try:
                yield producer
            except Exception as error:
                producer.kill()
                assert producer.stderr is not None
                error.add_note(producer.stderr.read())
                raise
            finally:
                producer.kill()

    def task_ids(self, queue: str) -> list[str]:
        """Return the ids of all tasks in a queue, which stay there."""
        found = []
        with self.broker.connect(self.vhost) as connection:
            channel = connection.channel()
            while (message := channel.basic_get(queue)) is not None:
                found.append(message.headers["id"])
        return found

    def template(self) -> int:
        """Return the pid of the template: the daemon's child that is no worker."""
        assert self.process is not None
        return next(pid for pid in children(self.process.pid) if name_of(pid) == "agent-template")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the agent."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, timeout: float = 60.0) -> int:
        """Tell the agent to go; return its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout)

    def close(self) -> None:
        """End what is left, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()  # workers and template die with their parent
            self.process.wait()


def children(pid: int) -> list[int]:
    """Return the pids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def name_of(pid: int) -> str:
    """Return the name that the kernel has for a process, "" where it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_alive(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
