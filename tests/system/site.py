"""A site on booted hosts, provisioned by the playbooks over ssh from the example inventory.

Hosts are bare: Debian with Python and ssh, and a repository of packages instead of a way out. The inventory is a copy of
`deploy/ansible/inventory.example` with the lab's addresses and ssh settings beside it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.node import ROOT
from tests.system import machine
from tests.system.host import Host
from tests.system.images import Image, image
from tests.system.lab import CONTROL_NODE, Lab
from tests.system.release import CURRENT
from tests.system.repository import PORT, repository
from tests.waiting import wait_until

COLLECTION = ROOT / "deploy/ansible"
PACKAGES = ("python3-venv", "rabbitmq-server", "tzdata")
PLAY_TIMEOUT = 1800.0  # seconds; a whole site takes three minutes on a quiet machine

SECRETS = {
    "vault_fleet_secret": "4f3c5d9e0b7a4f3c5d9e0b7a4f3c5d9e",
    "vault_broker_cookie": "a5c9e0b7d2a5c9e0b7d2",
    "vault_authority_passphrase": "four words in a row",
}
PRODUCE = """
import sys
sys.path[:0] = ["/opt/celery-agent/code/consumer/current"]
from celery_tasks import tasks
from celery_tasks.utils import create_worker_from
_, task = create_worker_from(getattr(tasks, sys.argv[1]))
print(task.delay(*eval(sys.argv[2])).get(timeout=60))
"""


@dataclass(frozen=True, slots=True)
class Played:
    """What a playbook came to: its exit status, what it printed, and by host how many tasks changed something."""

    status: int
    output: str
    changed: Mapping[str, int]

    @property
    def changes(self) -> list[str]:
        """The tasks that changed something, each with its host."""
        tasks = re.split(r"^TASK ", self.output, flags=re.MULTILINE)[1:]
        return [
            f"{host}: {task.splitlines()[0]}"
            for task in tasks
            for host in re.findall(r"^changed: (\S+)", task, re.MULTILINE)
        ]

    @property
    def words(self) -> str:
        """What it printed, without the line breaks that the terminal's width made."""
        return re.sub(r"\s+", " ", self.output)


class Site:
    """Hosts of a lab by the groups of an inventory, and the controller that provisions them."""

    def __init__(self, lab: Lab, folder: Path, packages: tuple[str, ...] = PACKAGES, verbosity: int = 0) -> None:
        """Prepare a controller in a folder; hosts are added, then `boot` is called.

        verbosity: how many -v all playbooks are played with, and with --diff where there is one.
        """
        self.lab = lab
        self.folder = folder
        self.inventory = folder / "inventory"
        self.hosts: dict[str, Host] = {}
        self.played: list[Played] = []
        self._verbosity = verbosity
        self._groups: dict[str, list[str]] = {}
        self._variables: dict[str, dict[str, object]] = {}
        self._packages = packages
        self._server: subprocess.Popen[bytes] | None = None
        shutil.copytree(COLLECTION / "inventory.example", self.inventory)
        (folder / "vault-password").write_text("lab\n")
        self.secrets = {"ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "vault-password")}
        vault = self.inventory / "group_vars/all/vault.yml"
        vault.write_text(json.dumps(SECRETS))
        self._ansible("ansible-vault", "encrypt", str(vault))
        self.release = build_release(folder / "dist")

    def add(self, name: str, *groups: str, layers: Image | None = None, **variables: object) -> Host:
        """Add a bare host to groups of the inventory, with variables of its own beside those of the example."""
        host = self.lab.add(name, layers or image())
        host.write("/etc/apt/sources.list", f"deb [trusted=yes] http://{CONTROL_NODE}:{PORT} ./\n")
        self.hosts[name] = host
        for group in groups:
            self._groups.setdefault(group, []).append(name)
        self._variables[name] = {
            "ansible_host": host.address,
            "fleet_addresses": [host.address, host.address6],
            **variables,
        }
        self._write_inventory()
        return host

    def boot(self) -> None:
        """Boot the hosts that are off, with a repository to install from."""
        self.serve(repository(*self._packages), PORT)
        self.lab.start()
        first = next(iter(self.hosts.values()))
        wait_until(lambda: self.reaches(first, CONTROL_NODE, PORT), 30, "the repository is served")
        for host in self.hosts.values():
            host.run("apt-get", "-qq", "update")

    def serve(self, folder: Path, port: int) -> None:
        """Serve a folder to the hosts by HTTP."""
        where = ["--bind", CONTROL_NODE, "--directory", str(folder)]
        server = self.lab.enter(sys.executable, "-m", "http.server", str(port), *where)
        self._server = subprocess.Popen(
            server, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def set(self, **variables: object) -> None:
        """Change variables of all hosts in the inventory."""
        path = self.inventory / "group_vars/all/lab.yml"
        values = json.loads(path.read_text()) | variables
        path.write_text(json.dumps(values, indent=1))

    def play(self, playbook: str, *arguments: str) -> Played:
        """Play a playbook of the collection; return what it came to."""
        where = ["--inventory", str(self.inventory), f"playbooks/{playbook}.yml"]
        done = self._ansible("ansible-playbook", *where, *arguments)
        changed = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", done.stdout, re.MULTILINE)
        played = Played(done.returncode, done.stdout + done.stderr, {host: int(count) for host, count in changed})
        self.played.append(played)
        return played

    def provision(self, playbook: str = "site", *arguments: str) -> Played:
        """Play a playbook that must succeed."""
        played = self.play(playbook, *arguments)
        assert played.status == 0, played.output[-6000:]
        return played

    def send(
        self, contract: str, *arguments: object, producer: str = "producer1", python: str = f"{CURRENT}/bin/python"
    ) -> str:
        """Send a task from a producer as its env file says, by a command that is a Python; return the result as text."""
        return self.hosts[producer].run(*_sending(contract, arguments, python)).strip()

    def sends(self, contract: str, *arguments: object, producer: str = "producer1") -> bool:
        """Say whether a task can be sent from a producer and its result comes."""
        return self.hosts[producer].attempt(*_sending(contract, arguments)).returncode == 0

    def status(self, node: str, instance: str) -> dict[str, Any]:
        """Return what an instance says of itself."""
        value: dict[str, Any] = json.loads(
            self.hosts[node].run("/opt/celery-agent/current/bin/agent", "status", instance, "--json")
        )
        return value

    def reaches(self, source: Host, address: str, port: int) -> bool:
        """Say whether a connection from a host is accepted."""
        return source.attempt("nc", "-z", "-w", "2", address, str(port)).returncode == 0

    def start(
        self,
        host: Host,
        name: str,
        program: str,
        *arguments: str,
        python: str = "python3",
        environment: str = "/dev/null",
    ) -> None:
        """Start a Python program in a host that runs until /run/stop is there; see `finish`."""
        host.attempt("systemctl", "stop", name)  # one that a failed test has left
        host.run("rm", "-f", "/run/stop", f"/run/{name}")
        unit = [
            f"--unit={name}",
            f"--property=StandardOutput=file:/run/{name}",
            "--property=StandardError=journal",
            f"--property=EnvironmentFile={environment}",
        ]
        host.run("systemd-run", "--quiet", "--collect", *unit, python, "-c", program, *arguments)

    def finish(self, host: Host, name: str, timeout: float = 120.0) -> str:
        """Let a program end; return what it printed."""
        host.run("touch", "/run/stop")
        wait_until(lambda: host.attempt("systemctl", "is-active", name).returncode != 0, timeout, f"{name} has ended")
        return host.run("cat", f"/run/{name}")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Return when a condition of the hosts holds."""
        wait_until(condition, 120, what)

    def wait_for_file(self, host: Host, path: str) -> None:
        """Return when a file is there."""
        wait_until(lambda: host.attempt("test", "-e", path).returncode == 0, 60, f"{path} is there")

    def move(self, name: str, *groups: str) -> None:
        """Take a host out of all groups of the inventory, and put it into others."""
        for names in self._groups.values():
            if name in names:
                names.remove(name)
        for group in groups:
            self._groups.setdefault(group, []).append(name)
        self._write_inventory()

    def close(self) -> None:
        """End the server, and the ssh connections that Ansible leaves open for later."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        for socket in self._connections.glob("*"):
            subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "x"], capture_output=True, check=False)

    @property
    def _connections(self) -> Path:
        return self.folder / "ssh"

    def _ansible(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **machine.ENVIRONMENT,
            "PATH": f"{Path(sys.executable).parent}:{machine.ENVIRONMENT['PATH']}",
            "HOME": str(self.folder),
            "ANSIBLE_CONFIG": str(COLLECTION / "ansible.cfg"),
            **self.secrets,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._connections),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_VERBOSITY": str(self._verbosity),
            "ANSIBLE_DIFF_ALWAYS": str(self._verbosity > 0),
        }
        return subprocess.run(
            self.lab.enter(program, *arguments),
            cwd=COLLECTION,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PLAY_TIMEOUT,
            check=False,
        )

    def _write_inventory(self) -> None:
        groups: dict[str, Any] = {
            group: {"hosts": {name: {} for name in names}} for group, names in self._groups.items()
        }
        ssh = {"ansible_user": "root", "ansible_ssh_common_args": f"-F {self.lab.ssh_config}"}
        hosts = {"all": {"hosts": self._variables, "vars": ssh, "children": groups}}
        (self.inventory / "hosts.yml").write_text(json.dumps(hosts, indent=1))
        path = self.inventory / "group_vars/all/lab.yml"  # comes after fleet.yml, whose paths lead to this project
        if not path.exists():
            trees = {"consumer": {"celery_tasks": str(ROOT / "celery_tasks"), "src": str(ROOT / "examples/consumer")}}
            path.write_text(json.dumps({"release_folder": str(self.release), "code_trees": trees}, indent=1))


def _sending(contract: str, arguments: tuple[object, ...], python: str = f"{CURRENT}/bin/python") -> tuple[str, ...]:
    command = f'set -a; . /etc/celery-tasks/broker.env; {python} -c "$@"'
    return ("sh", "-c", command, "sh", PRODUCE, contract, repr(arguments))


def build_release(folder: Path, source: Path = ROOT) -> Path:
    """Build a release of this checkout, or of another; return its folder."""
    done = subprocess.run(
        [sys.executable, source / "scripts/build-release", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())
