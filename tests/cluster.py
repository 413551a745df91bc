"""Private RabbitMQ clusters on loopback: nodes of one neighbourhood, formed from nothing at their first start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.certificates import Identity
from tests.rabbitmq import Neighbourhood, RabbitMQ
from tests.waiting import wait_until

FORMATION_TIMEOUT = 120.0  # seconds; three nodes at once on two cores take 30


class Cluster:
    """Three nodes, or as many as are asked for; vhosts and users are everywhere."""

    def __init__(self, size: int = 3, identities: Sequence[Identity] = ()) -> None:
        """Prepare the nodes; nothing is started. With an identity for each of them they have ports for TLS too."""
        self._neighbourhood = Neighbourhood()
        own: Sequence[Identity | None] = identities or [None] * size
        self.nodes = [RabbitMQ(neighbourhood=self._neighbourhood, identity=identity) for identity in own]
        for node in self.nodes:
            node.configure(_formation(self.nodes))

    def start(self) -> None:
        """Start all nodes at once; return when each takes connections and all know one another."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_until_up()
        wait_until(lambda: len(self.running()) == len(self.nodes), FORMATION_TIMEOUT, "all nodes are in the cluster")

    def close(self) -> None:
        """Kill the nodes and remove their data."""
        for node in self.nodes:
            node.close()
        self._neighbourhood.close()

    @property
    def first(self) -> RabbitMQ:
        """A node that runs, to ask it about all."""
        return next(node for node in self.nodes if node.is_running)

    def running(self) -> list[str]:
        """Return the names of the nodes that are up, as one of them sees it."""
        status: dict[str, Any] = json.loads(self.first.control("cluster_status", "--formatter", "json"))
        names: list[str] = status["running_nodes"]
        return names


def leader(nodes: Sequence[RabbitMQ], queue: str, vhost: str = "/") -> RabbitMQ:
    """Return the node that has a queue's leader; a classic queue has no other place than it."""
    running = next(node for node in nodes if node.is_running)
    listed = running.control("list_queues", "-p", vhost, "name", "pid", "--no-table-headers")
    pids = dict(line.split("\t") for line in listed.splitlines())
    return next(node for node in nodes if node.name in pids[queue])


def _formation(nodes: list[RabbitMQ]) -> str:
    names = "".join(
        f"cluster_formation.classic_config.nodes.{number} = {node.name}\n" for number, node in enumerate(nodes, 1)
    )
    return f"cluster_formation.peer_discovery_backend = classic_config\n{names}"
