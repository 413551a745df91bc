"""Where a condition is provoked: one instance on a broker, with tasks that write down that they ran."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from enum import Enum
from pathlib import Path
from typing import Any

import amqp

from tests import administration
from tests.certificates import EXPIRED, VALID, Authority
from tests.node import ROOT, Node
from tests.ports import number, reserve
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

QUEUE = "alpha"
USER, PASSWORD = "node", "of-the-node"
PATIENCE = 90.0  # seconds until what must come has come, on a machine however busy

TASKS = '''
import ctypes, os, signal, threading, time
import celery
from celery.signals import worker_ready

BORN = os.getpid()
FOLDER = os.environ["FOLDER"]

def once(name):
    """Say whether this is the first time that anybody asks."""
    try:
        os.close(os.open(os.path.join(FOLDER, name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True

class Alpha(celery.Task):
    name = "alpha"

    def run(self, action="return", value=None):
        if action == "sleep":
            time.sleep(0.2)
        elif action == "deadlock" and once(value):
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        elif action == "for ever":
            while True:
                time.sleep(1)
        elif action == "long":
            time.sleep(8 if once(value) else 0)
        elif action == "abort":
            os.abort()
        elif action == "crash":
            ctypes.string_at(0)
        elif action == "kill its parent" and once(value):
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        elif action == "leak":
            kept.append(bytearray(8 * 1_048_576))
        elif action == "raise at first" and once(f"{value}-{os.getpid()}"):
            raise RuntimeError("used over a fork")
        with open(os.path.join(FOLDER, "done"), "a") as done:
            done.write(f"{value}\\n")

kept = []

@worker_ready.connect
def watch(sender, **_):
    def look():
        for name, do in (("hang", hang), ("cancel", sender.task_consumer.cancel)):
            path = os.path.join(FOLDER, name)
            if os.path.exists(path):
                os.unlink(path)
                do()
    sender.timer.call_repeatedly(0.2, look)

def hang():
    threading.Event().wait()
'''

APP = """
import os
from celery import Celery
import greek

app = Celery("proj", broker=os.environ["BROKER"])
app.conf.update(task_default_queue="alpha", task_acks_late=True, task_reject_on_worker_lost=True)
app.register_task(greek.Alpha())
"""


class Way(Enum):
    """How the instance's connections come to the broker: by what is in their way, if anything."""

    STRAIGHT = "straight"
    PROXY = "by a proxy"
    TLS = "by a proxy that speaks TLS"
    LIST = "by a proxy, or straight where that is away"


class Stage:
    """One instance, called magic, with the queue alpha."""

    def __init__(self, folder: Path, broker: RabbitMQ, pool: str, settings: dict[str, str], way: Way) -> None:
        """Prepare all, and start nothing but what leads the connections, where they are led."""
        self.broker = broker
        self.vhost = f"health-{uuid.uuid4().hex[:12]}"
        broker.add_vhost(self.vhost)
        administration.add_user(broker, self.user, PASSWORD)
        self.allow(".*")
        self.folder = folder
        self.node = Node(folder, broker, self.vhost)
        (self.node.code / "greek.py").write_text(TASKS)
        (self.node.code / "proj.py").write_text(APP)
        self.node.variables |= {"FOLDER": str(folder), "RABBITMQ_USER": self.user, "RABBITMQ_PWD": PASSWORD}
        url = f"amqp://{self.user}:{PASSWORD}@{broker.host}:{broker.port}/{self.vhost}"
        self.node.variables["BROKER"] = url  # of the app
        self._way = way
        self._port: socket.socket | None = None
        self._authority: Authority | None = None
        self.proxy: subprocess.Popen[bytes] | None = None
        if way is not Way.STRAIGHT:
            self._lead()
        concurrency = "1" if pool == "solo" else "2"
        self.node.configure(
            QUEUE,
            **{"DEFAULTS__POOL": pool, "DEFAULTS__CONCURRENCY": concurrency, "DEFAULTS__HUNG_TIMEOUT": "5", **settings},
        )
        self._sent: list[str] = []

    @property
    def user(self) -> str:
        """The broker's user of this stage."""
        return f"{USER}-{self.vhost}"

    def allow(self, pattern: str) -> None:
        """Give the instance's user these rights to configure, write and read."""
        administration.set_permissions(self.broker, self.vhost, self.user, pattern, pattern, pattern)

    def shut_out(self) -> None:
        """Take the virtual host from the instance's user."""
        administration.clear_permissions(self.broker, self.vhost, self.user)

    def end_connections(self) -> None:
        """Have the broker close the connections of this stage, as a restart of it does."""
        administration.close_all_connections(self.broker, self.vhost)

    def be_impatient(self, milliseconds: int, tick: int) -> None:
        """Have the broker wait so long for an ack, and look every `tick` milliseconds; for channels that are opened later."""
        for name, value in (("consumer_timeout", milliseconds), ("channel_tick_interval", tick)):
            self.broker.evaluate(f"application:set_env(rabbit, {name}, {value}).")

    def send(self, action: str, count: int = 1, *, counts: bool = True) -> None:
        """Send tasks by the side of all that may be broken; those that count must be done in the end."""
        with self.broker.connect(self.vhost) as connection:
            channel = connection.channel()
            channel.confirm_select()
            for _ in range(count):
                value = uuid.uuid4().hex
                channel.basic_publish_confirm(_message(action, value), routing_key=QUEUE)
                if counts:
                    self._sent.append(value)

    def lost(self) -> set[str]:
        """Return the tasks that count and have not been done."""
        return set(self._sent) - set(self._done())

    def _done(self) -> list[str]:
        path = self.folder / "done"
        return path.read_text().split() if path.exists() else []

    def answers(self) -> float:
        """Send a task, as soon as the queue is there, and return the moment at which one is done, be it that or another."""
        before = len(self._done())
        wait_until(self._sends, PATIENCE, "the queue takes a task")
        wait_until(lambda: len(self._done()) > before, PATIENCE, f"a task is run, see {self.node.log}")
        return time.monotonic()

    def log(self) -> str:
        """Return what the agent and its workers have said."""
        return self.node.log.read_text(errors="replace")

    def pid(self) -> int:
        """Return that of the worker's main process."""
        return self.node.pids()[QUEUE]

    def restarts(self) -> int:
        """Return how often the worker's process has ended unasked, or was replaced."""
        return int(self.node.queue(QUEUE)["restarts"])

    def close(self) -> None:
        """End what is left, and remove what the broker has of it."""
        self.node.close()
        self.end_proxy()
        if self._port is not None:
            self._port.close()
        self.broker.delete_vhost(self.vhost)
        administration.delete_user(self.broker, self.user)

    def freeze_link(self) -> None:
        """Have nothing pass any more between the instance and the broker; the connections stay open."""
        assert self.proxy is not None
        os.kill(self.proxy.pid, signal.SIGSTOP)

    def thaw_link(self) -> None:
        """Have all pass again."""
        assert self.proxy is not None
        os.kill(self.proxy.pid, signal.SIGCONT)

    def end_proxy(self) -> None:
        """End what is in the way; nobody listens there then."""
        if self.proxy is not None:
            self.proxy.kill()
            self.proxy.wait()
            self.proxy = None

    def start_proxy(self, days: str = VALID, host: str = "") -> None:
        """Start it anew; where it speaks TLS, with a certificate that is good for so many days, and for that host."""
        assert self._port is not None
        ends = [f"{self.broker.host}:{number(self._port)}", f"{self.broker.host}:{self.broker.port}"]
        if self._authority is not None:
            identity = self._authority.identity(host or f"IP:{self.broker.host}", days=days)
            ends += [str(identity.certificate), str(identity.key)]
            time.sleep(1.5 if days == EXPIRED else 0)  # it is good for the second in which it was made
        self.end_proxy()
        self.proxy = subprocess.Popen([sys.executable, "-m", "tests.forward", *ends], cwd=ROOT, stdout=subprocess.PIPE)
        assert self.proxy.stdout is not None
        self.proxy.stdout.readline()  # "ready"

    def let_certificate_expire(self) -> None:
        """Have the broker's certificate be one that has run out, for all later connections, and end those that are."""
        self.start_proxy(EXPIRED)

    def be_another_host(self) -> None:
        """Have the broker's certificate be that of another host, likewise."""
        self.start_proxy(host="DNS:another.example")

    def _lead(self) -> None:
        self._port = reserve()
        self.node.variables["RABBITMQ_PORT"] = str(number(self._port))
        if self._way is Way.TLS:
            self._authority = Authority(self.folder / "authority")
            self.node.variables |= {"RABBITMQ_TLS": "1", "RABBITMQ_CA_FILE": str(self._authority.certificate)}
        if self._way is Way.LIST:
            hosts = f"{self.broker.host}:{number(self._port)},{self.broker.host}:{self.broker.port}"
            self.node.variables["RABBITMQ_HOST"] = hosts
        self.start_proxy()

    def _sends(self) -> bool:
        try:
            with self.broker.connect(self.vhost) as connection:
                connection.channel().queue_declare(QUEUE, passive=True)  # where it is not, a task would go nowhere
            self.send("return")
        except (OSError, amqp.exceptions.AMQPError):
            return False
        return True


def _message(action: str, value: str) -> Any:
    return amqp.Message(
        json.dumps([[action, value], {}, {}]),
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        application_headers={"lang": "py", "task": QUEUE, "id": value},
    )
