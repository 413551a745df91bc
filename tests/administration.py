"""What an administrator does to a broker: as rabbitmqctl does it, which takes a second of CPU each time."""

from __future__ import annotations

import json

from tests.rabbitmq import RabbitMQ

WHO = '<<"tests">>'
USERS = "rabbit_auth_backend_internal"


def add_user(broker: RabbitMQ, name: str, password: str) -> None:
    """Make a user who may do nothing yet."""
    broker.evaluate(f"ok = {USERS}:add_user({_text(name)}, {_text(password)}, {WHO}).")


def delete_user(broker: RabbitMQ, name: str) -> None:
    """Remove a user, with all rights."""
    broker.evaluate(f"ok = {USERS}:delete_user({_text(name)}, {WHO}).")


def change_password(broker: RabbitMQ, name: str, password: str) -> None:
    """Give a user another password."""
    broker.evaluate(f"ok = {USERS}:change_password({_text(name)}, {_text(password)}, {WHO}).")


def set_permissions(broker: RabbitMQ, vhost: str, user: str, configure: str, write: str, read: str) -> None:
    """Let a user do in a vhost what these patterns say, and nothing else."""
    patterns = ", ".join(map(_text, (configure, write, read)))
    broker.evaluate(f"ok = {USERS}:set_permissions({_text(user)}, {_text(vhost)}, {patterns}, {WHO}).")


def clear_permissions(broker: RabbitMQ, vhost: str, user: str) -> None:
    """Take all rights in a vhost from a user."""
    broker.evaluate(f"ok = {USERS}:clear_permissions({_text(user)}, {_text(vhost)}, {WHO}).")


def close_all_connections(broker: RabbitMQ, vhost: str) -> None:
    """Close each connection to a vhost, and say so to who has it."""
    broker.evaluate(f"[catch rabbit_networking:close_connection(Pid, {WHO}) || {_connections(vhost)}].")


def count_connections(broker: RabbitMQ, vhost: str) -> int:
    """Return how many connections there are to a vhost."""
    return int(broker.evaluate(f"length([Pid || {_connections(vhost)}])."))


def messages(broker: RabbitMQ, vhost: str) -> dict[str, int]:
    """Return how many messages each queue of a vhost has, those at a consumer included."""
    line = 'io_lib:format("~ts ~b~n", [element(4, Name), Messages])'
    listed = f"[{{name, Name}}, {{messages, Messages}}] <- rabbit_amqqueue:info_all({_text(vhost)}, [name, messages])"
    said = broker.evaluate(f"lists:flatten([{line} || {listed}]).")
    lines = "" if said == "[]" else json.loads(said)
    return {name: int(count) for name, count in (line.rsplit(" ", 1) for line in lines.splitlines())}


def _connections(vhost: str) -> str:
    """Return what gives each connection's `Pid`."""
    return f"[{{pid, Pid}}, {{vhost, Vhost}}] <- rabbit_networking:connection_info_all([pid, vhost]), Vhost == {_text(vhost)}"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}">>'
