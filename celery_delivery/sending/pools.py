"""The connections that a whole process sends over: one for each thread that is sending, whatever apps it has.

A child that is forked, by whom ever, closes its copies of the sockets and begins with none. kombu's own pools leave them shared
after `os.fork`, where answers then arrive at the wrong process, and shut them down after billiard's fork, for the parent too.
"""

from typing import Any
from weakref import WeakSet

from celery import Celery
from kombu.connection import ConnectionPool
from kombu.exceptions import LimitExceeded
from kombu.pools import ProducerPool

from celery_delivery import forks
from celery_delivery.errors import NotAccepted
from celery_delivery.sending.unanswered import Unanswered

_OPTIONS = ("broker_use_ssl", "broker_transport_options", "broker_login_method", "broker_pool_limit")


class Pool(ProducerPool):
    """Producers with a connection each, for whichever thread needs one."""

    close_after_fork = False  # _let_go sees to it

    def __init__(self, connection: Any, limit: int | None, producer: Any, patience: float) -> None:
        """Make producers over connections like one that is not open.

        limit: how many, None for any number. patience: seconds to wait for a free one.
        """
        self._patience = patience
        super().__init__(Connections(connection, limit), limit=limit, Producer=producer)

    def acquire(self, block: bool = False, timeout: float | None = None) -> Any:
        """Return a free producer; raises NotAccepted when there is none for so long."""
        patience = self._patience if timeout is None else timeout
        try:
            return super().acquire(block=block, timeout=patience)
        except LimitExceeded as error:
            busy = f"all {self.limit} connections were busy for {patience:g} s (broker_pool_limit)"
            raise NotAccepted(f"nothing was sent: {busy}") from error


class Connections(ConnectionPool):
    """Connections of producers."""

    close_after_fork = False

    def __init__(self, connection: Any, limit: int | None) -> None:
        self.made: WeakSet[Any] = WeakSet()
        super().__init__(connection, limit=limit)

    def new(self) -> Any:
        """Return a connection that is not open yet."""
        connection = super().new()
        self.made.add(connection)
        return connection

    def replace(self, resource: Any) -> None:
        """Close a connection because of an error, when no other thread is reading it: one would take the other's answers."""
        with Unanswered.of(resource).turn:
            super().replace(resource)


def pool_of(app: Celery, producer: Any, patience: float, options: dict[str, Any] | None = None) -> Pool:
    """Return the pool that all apps of this process share which have the same broker, and kind of producer.

    options: of the transport, instead of the app's own. See Pool for the rest.
    """
    key = (broker_key(app), producer)
    pool = _pools.get(key)
    if pool is None:
        forks.let_go_in_children(_let_go)
        connection = app.connection_for_write(transport_options=options)
        # Of two threads that come here at once, both get the first one's.
        pool = _pools.setdefault(key, Pool(connection, app.conf.broker_pool_limit, producer, patience))
    return pool


def broker_key(app: Celery) -> str:
    """Return what is the same for apps that can share connections."""
    # The URL as an attribute: as an item it is None where only `broker_url` is set, whatever broker that is.
    return repr([app.conf.broker_write_url, *(app.conf[name] for name in _OPTIONS)])


def hang_up(connection: Any) -> None:
    """Close a connection's socket without a word on the line: it is dead, or a copy that a forked child has of its parent's."""
    if connection.connected:
        connection.connection.transport.sock.close()


_pools: dict[tuple[str, Any], Pool] = {}


def _let_go() -> None:
    for pool in _pools.values():
        for connection in pool.connections.made:
            hang_up(connection)
    _pools.clear()
