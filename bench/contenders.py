"""Who is compared: each starts one worker per queue in its own way, with the same settings and options.

Each is used as its documentation shows, with its defaults for how often it looks and what it does about a worker that dies.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from abc import ABC, abstractmethod
from itertools import pairwise

from bench import processes
from bench.workload import Workload, program


class Contender(ABC):
    """One way to run a worker per queue."""

    name: str

    def __init__(self, work: Workload) -> None:
        """Take the work; nothing is started."""
        self.work = work

    @abstractmethod
    def start(self) -> None:
        """Start everything and return at once."""

    def is_own(self, pid: int) -> bool:
        """Say whether a process is the supervisor's own; the others are workers."""
        return "worker" not in processes.command_line(pid)

    def worker(self, queue: str, pids: list[int]) -> int:
        """Return the main process of a queue's worker: of those that serve it, the one whose parent does not."""
        found = [pid for pid in pids if self._serves(pid, queue)]
        return next(pid for pid in found if processes.parent(pid) not in found)

    def _serves(self, pid: int, queue: str) -> bool:
        words = processes.command_line(pid)
        return "worker" in words and ("-Q", queue) in pairwise(words)

    def _run(self, *command: str) -> int:
        with (self.work.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, env=self.work.environment, cwd=self.work.folder, stdout=log, stderr=log, start_new_session=True
            ).pid


class Agent(Contender):
    """This project: `agent run`."""

    name = "celery-agent"

    def start(self) -> None:
        """Write the env file and run the daemon."""
        lines = {
            "CELERY_AGENT_TASKS": ",".join(f"work:{queue}" for queue in self.work.queues),
            "CELERY_AGENT_PATH": str(self.work.folder),
            "CELERY_AGENT_DEFAULTS__POOL": self.work.pool,
            "CELERY_AGENT_DEFAULTS__PREFETCH": str(self.work.prefetch),
            "CELERY_AGENT_DEFAULTS__LOG_LEVEL": "WARNING",
            **self.work.variables,
        }
        env_file = self.work.folder / "bench.env"
        env_file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        runtime = f"CELERY_AGENT_RUNTIME_DIR={self.work.folder / 'run'}"
        self._run("/usr/bin/env", runtime, sys.executable, "-m", "agent", "run", "bench", "--env-file", str(env_file))

    def is_own(self, pid: int) -> bool:
        """Say whether a process is the daemon, its template or its watcher."""
        return processes.name(pid) in ("agent-template", "bench.watcher") or "run" in processes.command_line(pid)

    def _serves(self, pid: int, queue: str) -> bool:
        return processes.name(pid) == queue


class Circus(Contender):
    """circusd, one watcher per queue."""

    name = "circus"

    def start(self) -> None:
        """Write its configuration and run it in the foreground."""
        lines = ["[circus]"]
        lines += [f"{name} = ipc://{self.work.folder}/{name}" for name in ("endpoint", "pubsub_endpoint")]
        for queue in self.work.queues:
            command = shlex.join(self.work.command(queue))
            lines += [f"[watcher:{queue}]", f"cmd = {command}", "copy_env = True", "numprocesses = 1"]
        path = self.work.folder / "circus.ini"
        path.write_text("\n".join(lines) + "\n")
        self._run(program("circusd"), str(path))


class Supervisord(Contender):
    """supervisord, one program per queue."""

    name = "supervisord"
    app = "app"  # see bench.workload.MODULE

    def start(self) -> None:
        """Write its configuration and run it in the foreground."""
        folder = self.work.folder
        lines = [
            "[supervisord]",
            "nodaemon=true",
            f"logfile={folder}/supervisord.log",
            f"pidfile={folder}/supervisord.pid",
            # What `supervisorctl` asks, as `echo_supervisord_conf` prints it.
            "[unix_http_server]",
            f"file={folder}/supervisor.sock",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            "[supervisorctl]",
            f"serverurl=unix://{folder}/supervisor.sock",
        ]
        for queue in self.work.queues:
            command = shlex.join(self.work.command(queue, self.app))
            lines += [
                f"[program:{queue}]",
                f"command={command}",
                "autorestart=true",
                f"stdout_logfile={folder}/{queue}.log",
            ]
            lines += ["redirect_stderr=true"]
        path = folder / "supervisord.conf"
        path.write_text("\n".join(lines) + "\n")
        self._run(program("supervisord"), "-c", str(path))


class Inspected(Supervisord):
    """The same with workers that `celery inspect` gets an answer from."""

    app = "inspected"


class Multi(Contender):
    """`celery multi`, which starts workers in the background and leaves them alone."""

    name = "celery multi"

    def start(self) -> None:
        """Start one node per queue; %n is the node's name, which is its queue's."""
        files = [f"--{kind}={self.work.folder}/%n.{kind}" for kind in ("pidfile", "logfile")]
        nodes = self.work.queues
        self._run(
            program("celery"), "multi", "start", *nodes, "-A", "work:app_%n", *files, *self.work.worker_options("%n")
        )


class Shell(Contender):
    """A shell loop around plain `celery worker` for each queue."""

    name = "shell loop"

    def start(self) -> None:
        """Start a loop per queue."""
        for queue in self.work.queues:
            self._run("/bin/sh", "-c", f"while :; do {shlex.join(self.work.command(queue))}; done")

    def is_own(self, pid: int) -> bool:
        """Say whether a process is one of the shells."""
        return processes.name(pid) == "sh"


class Stock(Contender):
    """Plain `celery worker` with Celery's own consumer, and nobody who looks after it."""

    name = "stock worker"

    def start(self) -> None:
        """Start a worker per queue."""
        for queue in self.work.queues:
            self._run(*self.work.command(queue, "stock"))


PEERS: tuple[type[Contender], ...] = (Circus, Supervisord, Multi, Shell)
SUPERVISORS: tuple[type[Contender], ...] = (Agent, *PEERS)
