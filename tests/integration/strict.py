"""An instance whose operator has declared everything: its users may use it and declare nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import amqp

from agent.errors import OK
from tests import administration
from tests.node import Node
from tests.truth import assert_true

ROLES = ("node", "producer", "operator")


class Strict:
    """An instance whose operator has declared everything, with a user for each role."""

    def __init__(self, node: Node, folder: Path, results: str) -> None:
        """Configure the instance to host alpha and beta and to work as the node's user."""
        self.node = node
        self.users = {role: f"{role}-{node.vhost}" for role in ROLES}
        self.files = {role: folder / f"{role}.password" for role in ROLES}
        for role in ROLES:
            self.files[role].write_text(f"secret of the {role}\n")
        node.variables |= {"CELERY_TASKS_DECLARE": "0", "CELERY_TASKS_RESULTS": results, **self.login("node")}
        node.configure("alpha", "beta")

    def login(self, role: str) -> dict[str, str]:
        """Return the variables by which producers and nodes work as a role."""
        return {"RABBITMQ_USER": self.users[role], "RABBITMQ_PWD_FILE": str(self.files[role])}

    def definitions(self) -> dict[str, Any]:
        """Return what the command prints for all roles, with passwords."""
        passwords = [f"--password-file={self.users[role]}={self.files[role]}" for role in ROLES]
        others = ["--producer", self.users["producer"], "--operator", self.users["operator"]]
        done = self.node.run("topology", "magic", "--definitions", *others, *passwords)
        assert done.returncode == OK, done.stderr
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    def declare(self, definitions: dict[str, Any]) -> None:
        """Have the broker import definitions."""
        path = self.node.config / "definitions.json"
        path.write_text(json.dumps(definitions))
        self.node.broker.control("import_definitions", str(path))

    def exported(self) -> dict[str, Any]:
        """Return what the broker says of the vhost and its users."""
        path = self.node.config / "exported.json"
        self.node.broker.control("export_definitions", str(path))
        value: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
        kinds = ("permissions", "topic_permissions", "policies", "queues", "exchanges", "bindings")
        found = {kind: [each for each in value[kind] if each["vhost"] == self.node.vhost] for kind in kinds}
        found["users"] = [each for each in value["users"] if each["name"] in self.users.values()]
        found["permissions"] = [each for each in found["permissions"] if each["user"] in self.users.values()]
        return {kind: in_order(found[kind]) for kind in found}

    def channel(self, role: str) -> Any:
        """Return a new channel of a user, on a connection of its own."""
        connection = amqp.Connection(
            f"{self.node.broker.host}:{self.node.broker.port}",
            userid=self.users[role],
            password=self.files[role].read_text().strip(),
            virtual_host=self.node.vhost,
            read_timeout=10,
        )
        connection.connect()
        return connection.channel()


@contextmanager
def declared(node: Node, folder: Path, results: str) -> Iterator[Strict]:
    strict = Strict(node, folder, results)
    strict.declare(strict.definitions())
    try:
        yield strict
        assert_true(node)
    finally:
        node.close()
        for user in strict.users.values():
            administration.delete_user(node.broker, user)


def in_order(values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(values, key=lambda value: json.dumps(value, sort_keys=True))
