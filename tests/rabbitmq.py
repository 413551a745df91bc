"""Private RabbitMQ nodes: on loopback ports of their own, data in a temporary folder."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import amqp

from tests import leftovers
from tests.certificates import Identity
from tests.ports import HOST, number, reserve
from tests.waiting import wait_until

DEBIAN_S = Path("/usr/lib/rabbitmq/bin")  # the scripts behind Debian's wrappers, which want their own user
TOOLS = Path(os.environ.get("TEST_RABBITMQ", DEBIAN_S))  # or others, see tests/rabbitmq_4.py
SERVER = TOOLS / "rabbitmq-server"
START_TIMEOUT = 90.0  # seconds; 8 CPU seconds on a quiet machine


@dataclass(frozen=True, slots=True)
class Queue:
    """What the broker says of a queue: messages that wait, and consumers."""

    messages: int
    consumers: int


class Neighbourhood:
    """What nodes need in common to find and trust one another: Erlang's port mapper, and a cookie."""

    def __init__(self) -> None:
        """Start a port mapper of our own; Erlang would start it as a daemon that outlives us."""
        self._port = reserve()
        self.mapper_port = number(self._port)
        self.cookie = secrets.token_hex(16)
        self.nodes: list[RabbitMQ] = []
        self._mapper = _spawn(
            ["epmd", "-port", str(self.mapper_port), "-address", HOST], dict(os.environ), Path(os.devnull)
        )

    def close(self) -> None:
        """End the port mapper."""
        self._mapper.kill()
        self._mapper.wait()
        self._port.close()


class RabbitMQ:
    """One broker node. User and password are guest; each vhost is an island."""

    def __init__(
        self,
        configuration: str = "",
        neighbourhood: Neighbourhood | None = None,
        identity: Identity | None = None,
        plugins: Sequence[str] = (),
    ) -> None:
        """Prepare a node; `configuration` is added to its rabbitmq.conf. Without a neighbourhood it lives alone.

        With an identity it has a port for TLS too. The plugins are those that it enables.
        """
        if not SERVER.exists():
            raise RuntimeError("RabbitMQ is missing: apt-get install rabbitmq-server (scripts/prepare-tests does it)")
        self.host = HOST
        self._ports = [reserve() for _ in range(3)]  # kept while the node is down too: clients look for it there
        self.port, self.tls_port, self._distribution_port = map(number, self._ports)
        self._identity = identity
        self.name = f"test{self.port}@localhost"
        self._lives_alone = neighbourhood is None
        self._neighbourhood = neighbourhood or Neighbourhood()
        self._folder = Path(tempfile.mkdtemp(prefix="celery-agent-rabbitmq-"))
        self._log = self._folder / "output"
        (self._folder / "plugins").write_text(f"[{','.join(plugins)}].\n")
        cookie = self._folder / ".erlang.cookie"
        cookie.touch(0o600)
        cookie.write_text(self._neighbourhood.cookie)
        self._process: subprocess.Popen[bytes] | None = None
        self._neighbourhood.nodes.append(self)
        self.configure(configuration)

    def configure(self, configuration: str) -> None:
        """Write rabbitmq.conf, for the next start; none where there is nothing to write: to read one takes 3 s of CPU."""
        file, text = self._folder / "rabbitmq.conf", "\n".join([configuration, *self._tls_configuration()])
        file.unlink(missing_ok=True)
        if text:
            file.write_text(f"{text}\n")

    def start(self) -> None:
        """Start the node, with the data it had; return when it takes connections."""
        self.launch()
        self.wait_until_up()

    def launch(self) -> None:
        """Start the node's process and do not wait."""
        self._process = _spawn([str(SERVER)], self._environment(), self._log)

    def wait_until_up(self) -> None:
        """Return when the node takes connections."""
        wait_until(self._is_up, START_TIMEOUT, f"RabbitMQ takes connections, see {self._log}")
        self.evaluate("rabbit:await_startup().")  # on a busy machine it refuses rabbitmqctl for a while longer

    def stop(self) -> None:
        """Stop the node in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the node as a crash would."""
        self._end(signal.SIGKILL)

    def settle(self) -> None:
        """Have the node write down which quorum queues it has, as it would within 3 s.

        Killed before, RabbitMQ 3.10 has forgotten the newest when it starts again: the queue is listed, and never answers.
        """
        self.evaluate("[dets:sync(Table) || Table <- dets:all()].")

    @property
    def is_running(self) -> bool:
        """Whether the node was started and neither stopped nor killed."""
        return self._process is not None

    def freeze(self) -> None:
        """Stop the node's processes where they stand; connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen node run on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the node and remove its data."""
        if self._process is not None:
            self._end(signal.SIGKILL)
        if self._lives_alone:
            self._neighbourhood.close()
        for each in self._ports:
            each.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl; return what it prints."""
        return self.tool("rabbitmqctl", *arguments)

    def tool(self, name: str, *arguments: str) -> str:
        """Run one of the server's own tools; return what it prints."""
        done = subprocess.run(
            [TOOLS / name, "--quiet", *arguments], env=self._environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name} {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def evaluate(self, expressions: str) -> str:
        """Evaluate Erlang in the node; return the last expression's value. It takes milliseconds, rabbitmqctl half a second."""
        address = f"{self.host}:{self._distribution_port}"
        done = subprocess.run(
            ["erl_call", "-r", "-address", address, "-e"],
            input=f"{expressions}\n",
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stdout.startswith("{ok, "):
            raise RuntimeError(f"{expressions}: {done.stdout}{done.stderr}")
        return done.stdout.removeprefix("{ok, ").removesuffix("}")

    def add_vhost(self, name: str) -> None:
        """Make an empty vhost that guest may use."""
        self.evaluate(
            f'ok = rabbit_vhost:add(<<"{name}">>, <<"tests">>), ok = rabbit_auth_backend_internal:set_permissions('
            f'<<"guest">>, <<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).'
        )

    def delete_vhost(self, name: str) -> None:
        """Delete a vhost with all that is in it, and see that the broker can still move dead letters.

        Two workers of RabbitMQ's dead-letter supervisor that crash within its period, as those of queues that
        are being deleted can, end it for good: from then on each quorum queue with dead letters is refused with
        541 INTERNAL_ERROR (rabbitmq-server issue 16652). It is started again here, where it costs nothing.
        """
        self.evaluate(
            f'ok = rabbit_vhost:delete(<<"{name}">>, <<"tests">>),'
            " case supervisor:restart_child(rabbit_sup, rabbit_fifo_dlx_sup)"
            " of {error, running} -> ok; {ok, _} -> ok end.",
        )

    def variables(self, vhost: str = "/") -> dict[str, str]:
        """Return the environment variables that `celery_tasks` finds this node by, and its neighbours after it."""
        others = [f"{node.host}:{node.port}" for node in self._neighbourhood.nodes if node is not self]
        hosts = ",".join([f"{self.host}:{self.port}", *others]) if others else self.host
        return {"RABBITMQ_HOST": hosts, "RABBITMQ_PORT": str(self.port), "RABBITMQ_VHOST": vhost}

    def tls_variables(self, vhost: str = "/") -> dict[str, str]:
        """Return the same for the ports that speak TLS."""
        assert self._identity is not None
        nodes = sorted(self._neighbourhood.nodes, key=lambda node: node is not self)
        return {
            "RABBITMQ_HOST": ",".join(f"{node.host}:{node.tls_port}" for node in nodes),
            "RABBITMQ_VHOST": vhost,
            "RABBITMQ_TLS": "1",
            "RABBITMQ_CA_FILE": str(self._identity.authority),
        }

    def connect(self, vhost: str = "/") -> amqp.Connection:
        """Return an open connection; the caller closes it. RabbitMQ 4.0 was seen to let nobody in for 5 s at times."""
        connection = amqp.Connection(f"{self.host}:{self.port}", virtual_host=vhost, connect_timeout=30)
        connection.connect()
        return connection

    def queue(self, name: str, vhost: str = "/") -> Queue | None:
        """Return a queue's counts, or None where there is no such queue."""
        with self.connect(vhost) as connection:
            try:
                found = connection.channel().queue_declare(name, passive=True)
            except amqp.exceptions.NotFound:
                return None
            return Queue(found.message_count, found.consumer_count)

    def messages(self, name: str, vhost: str = "/") -> int:
        """Return how many messages wait in a queue; none where there is no such queue."""
        queue = self.queue(name, vhost)
        return 0 if queue is None else queue.messages

    def consumers(self, name: str, vhost: str = "/") -> int:
        """Return how many consumers a queue has."""
        queue = self.queue(name, vhost)
        return 0 if queue is None else queue.consumers

    def _tls_configuration(self) -> list[str]:
        if self._identity is None:
            return []
        return [
            f"listeners.ssl.default = {self.host}:{self.tls_port}",
            f"ssl_options.cacertfile = {self._identity.authority}",
            f"ssl_options.certfile = {self._identity.certificate}",
            f"ssl_options.keyfile = {self._identity.key}",
        ]

    def _is_up(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"RabbitMQ ended:\n{self._log.read_text()[-2000:]}")
        try:
            self.connect().close()
        except (OSError, amqp.exceptions.AMQPError):
            return False
        return True

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._signal(number)
        self._process.wait(60)
        self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            **leftovers.marker(),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": folder,  # of the Erlang cookie
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": self.host,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._neighbourhood.mapper_port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            # One scheduler that does not spin: tests share cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
            "RABBITMQ_CTL_ERL_ARGS": "+S 1:1 +sbwt none",
        }


def _spawn(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
