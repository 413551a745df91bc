"""A broker and a node with the project on it, installed as its documentation says, for all tests of the unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Authority
from tests.node import ROOT
from tests.system.host import Host
from tests.system.images import image
from tests.system.lab import Lab
from tests.system.release import CONSUMER, CURRENT, node_image
from tests.system.service import PASSWORD, Code, Service

DEPLOY = ROOT / "deploy" / "systemd"

# Over TLS it lets only those in who have a certificate themselves.
RABBITMQ = """
listeners.tcp.default = 5672
listeners.ssl.default = 5671
ssl_options.cacertfile = /etc/rabbitmq/ca.pem
ssl_options.certfile = /etc/rabbitmq/broker.pem
ssl_options.keyfile = /etc/rabbitmq/broker.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""

MAGIC = """
import os, time
from celery_tasks.tasks import MagicCeleryTask, SleepTask

class Magic(MagicCeleryTask):
    def run(self, arg1, arg2, arg3):
        return arg1 + arg2 + arg3

class Sleep(SleepTask):
    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not os.path.exists("/srv/magic/wake"):
            time.sleep(0.05)
        return seconds
"""

NUMBERS = """
import pathlib, socket
import celery, numpy, psutil

class Spectrum(celery.Task):
    name = "spectrum"

    def run(self, size):
        largest = float(numpy.linalg.eigvalsh(numpy.ones((size, size)))[-1])  # which is the size
        process = psutil.Process()
        return {
            "largest": largest,
            "parent": process.parent().name(),
            "memory": psutil.virtual_memory().total > process.memory_info().rss > 0,
            "cpus": psutil.cpu_count() > 0 and psutil.cpu_times().user >= 0,
        }

class Try(celery.Task):
    name = "try"

    def run(self, what, where):
        try:
            if what == "write":
                pathlib.Path(where).write_text("x")
            elif what == "list":
                list(pathlib.Path(where).iterdir())
            elif what == "connect":
                socket.create_connection((where, 5672), 2).close()
        except OSError as error:
            return error.strerror or type(error).__name__
        return "done"
"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The hosts, and two instances whose user code has nothing in common; neither is configured or running."""

    lab: Lab
    broker: Host
    node: Host
    magic: Service
    numbers: Service


def build(lab: Lab, folder: Path) -> Fleet:
    """Boot a broker and a node; return when RabbitMQ runs and the unit can be started."""
    broker = lab.add("broker", image("broker"))
    node = lab.add("node", node_image(folder))
    authority = Authority(folder / "authority")
    broker.write("/etc/rabbitmq/rabbitmq.conf", RABBITMQ)
    _write_identity(broker, "/etc/rabbitmq", "broker", authority, "rabbitmq")
    _write_identity(node, "/etc/celery-agent", "magic", authority, "root")
    node.copy(DEPLOY, "/root/deploy")
    for name, module, text in (("magic", "magic_tasks", MAGIC), ("numbers", "number_tasks", NUMBERS)):
        node.copy(ROOT / "celery_tasks", f"/srv/{name}/celery_tasks")
        node.write(f"/srv/{name}/{module}.py", text)
    node.write("/etc/celery-agent/magic.password", f"{PASSWORD}\n", mode=0o600)
    lab.start()
    unit, instance, *_ = install_commands()
    for commands in (unit, instance, instance.replace("magic", "numbers")):
        node.run("sh", "-euc", f"cd /root/deploy\n{commands}")
    node.run("useradd", "--groups", "celery-agent", "olga")
    node.run("useradd", "stranger")
    for name in ("magic", "numbers"):
        broker.run("rabbitmqctl", "--quiet", "add_vhost", name)
        broker.run("rabbitmqctl", "--quiet", "add_user", name, PASSWORD)
        broker.run("rabbitmqctl", "--quiet", "set_permissions", "--vhost", name, name, ".*", ".*", ".*")
    return Fleet(lab, broker, node, _magic(node), _numbers(node))


def install_commands() -> list[str]:
    """Return the commands that deploy/systemd/README.md gives: for the unit, the instance `magic`, and a move from one user."""
    return re.findall(r"^```sh\n(.*?)^```", (DEPLOY / "README.md").read_text(), re.DOTALL | re.MULTILINE)


def _write_identity(host: Host, folder: str, name: str, authority: Authority, owner: str) -> None:
    identity = authority.identity(f"DNS:{name}")
    for source, target in (
        (identity.authority, "ca.pem"),
        (identity.certificate, f"{name}.pem"),
        (identity.key, f"{name}.key"),
    ):
        host.write(f"{folder}/{target}", source.read_text(), mode=0o600, owner=owner)


def _magic(node: Host) -> Service:
    variables = {"RABBITMQ_HOST": "broker", "RABBITMQ_USER": "magic", "RABBITMQ_VHOST": "magic"}
    service = Service(node, "magic", Code("/srv/magic", "magic_tasks", f"{CURRENT}/bin/python", variables))
    node.run(
        "install",
        "-D",
        "-m644",
        "/root/deploy/dropins/credentials.conf",
        f"/etc/systemd/system/{service.unit}.d/credentials.conf",
    )
    node.run("systemctl", "daemon-reload")
    return service


def _numbers(node: Host) -> Service:
    variables = {
        "RABBITMQ_HOST": "broker",
        "RABBITMQ_USER": "numbers",
        "RABBITMQ_VHOST": "numbers",
        "RABBITMQ_PWD": PASSWORD,
    }
    return Service(node, "numbers", Code("/srv/numbers", "number_tasks", f"{CONSUMER}/bin/python", variables))
