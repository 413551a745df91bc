"""The brokers of one app as the watcher asks them: one connection, one channel, and a question for each queue.

A question declares nothing: of RabbitMQ it is a passive declare, which takes no rights and tells messages and consumers; of a
Redis the length of the lists, and of the embedded broker the number of files. Dead letters are counted less often.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from amqp.exceptions import ChannelError, NotFound
from kombu.transport import pyamqp

from celery_delivery.apps import App
from celery_delivery.broker.urls import brokers, shown

from ..certificate import first, runs_out
from ..sight import Asked, Reach, Sight
from .faults import is_timeout, reason, text

TIMEOUT = 3.0  # seconds for each step; a broker in the same network answers within milliseconds
HEARTBEAT = 60  # seconds; the questions come more often, so that neither side ever sends one
OTHERS = 300.0  # seconds after which brokers that are not in use are tried again: it takes a login
RENEWED = 3600.0  # seconds after which the one in use is, where it has shown a certificate: another may lie there now
LETTERS = 30.0  # seconds after which dead letters are counted anew
MOST_MUTE = 2  # queues that give no answer, after which the others are left to the next look

_COUNTED = ("redis", "rediss", "sentinel", "embedded", "filesystem")  # transports with queues whose length can be told

_REFUSED = ("credentials", "rights")


class Unreached(Exception):
    """None of the brokers can be reached."""


class Place:
    """The brokers of an app, and its queues."""

    def __init__(self, app: Any, queues: Mapping[str, str], beat: Callable[[], None]) -> None:
        """Ask nothing yet; the queues with what the broker calls their dead-letter queues, empty where they have none.

        beat: called before each step that may take TIMEOUT.
        """
        self._app = app
        self._queues = {queue: _name_at_broker(app, queue) for queue in queues}
        self._letters = {queue: name for queue, name in queues.items() if name}
        self._dead: dict[str, int | None] = {}
        self._counted = -LETTERS
        self._beat = beat
        self._reaches = {url: Reach(shown(url)) for url in brokers(app)}
        self._tried: dict[str, float] = {}
        self._link: _Link | None = None
        self._froze = False

    def look(self) -> Sight:
        """Return what can be seen now."""
        answers: dict[str, Asked] = {}
        mute = 0
        with suppress(Unreached):
            self._count_letters()
            for queue in self._queues:
                if mute < MOST_MUTE:
                    answers[queue] = self._ask(queue)
                    mute += self._link is None
            self._connected()
            self._try_others()
        reached = self._link is not None
        why = "other queues gave no answer" if reached else self._unreached()
        seen = [answers.get(queue, Asked(queue)) if reached else Asked(queue) for queue in self._queues]
        unasked = [each if each.waiting is not None or each.unseen else Asked(each.queue, unseen=why) for each in seen]
        told = [replace(each, dead=self._dead.get(each.queue)) for each in unasked] if reached else unasked
        return Sight(tuple(self._reaches[url] for url in self._reaches if url in self._tried), tuple(told))

    def socket(self) -> Any:
        """Return what is readable when the connection ends; None where there is none, or nothing tells."""
        return None if self._link is None else self._link.socket()

    def close(self) -> None:
        """End the connection in good order."""
        if self._link is not None:
            self._link.close()

    def _unreached(self) -> str:
        refuses = any(reach.reason in _REFUSED for reach in self._reaches.values())
        return "the broker refuses the login" if refuses else "the broker can't be reached"

    def _ask(self, queue: str) -> Asked:
        name, failure = self._queues[queue], ""
        for _ in range(2):  # a connection may have ended since the last look
            link = self._connected()
            self._beat()
            try:
                return link.ask(queue, name)
            except Exception as error:  # whatever a transport raises is the finding
                if is_timeout(error):
                    self._drop(froze=True)
                    return Asked(queue, unseen=f"the broker gave no answer about it in {TIMEOUT:g} s")
                failure = text(error)
                self._drop(froze=False)
        return Asked(queue, unseen=f"the broker ends the connection when it is asked about it: {failure}")

    def _count_letters(self) -> None:
        """Count them where that is due; what can't be told stays unknown until the next time."""
        now = time.monotonic()
        if now - self._counted < LETTERS:
            return
        self._counted, self._dead = now, {}
        for queue, name in self._letters.items():
            link = self._connected()
            self._beat()
            try:
                self._dead[queue] = link.ask(queue, name).waiting
            except Exception as error:  # whatever a transport raises
                self._drop(froze=is_timeout(error))
                return

    def _connected(self) -> _Link:
        """Return the link, a new one to the first broker that can be reached where there is none; raises Unreached."""
        if self._link is None:
            for url in self._reaches:
                self._link = self._try(url)
                if self._link is not None:
                    self._froze = False
                    break
            else:
                raise Unreached
        return self._link

    def _try_others(self) -> None:
        """Try the brokers that are not in use; and, for its certificate alone, the one that is: what is connected stays so."""
        now = time.monotonic()
        for url, reach in tuple(self._reaches.items()):
            used = self._link is not None and url == self._link.url
            if now - self._tried.setdefault(url, now) < (RENEWED if used else OTHERS) or (
                used and reach.expires is None
            ):
                continue
            link = self._try(url)
            if link is not None:
                link.close()
            elif used:
                self._reaches[url] = reach

    def _try(self, url: str) -> _Link | None:
        """Reach for a broker; keep what came of it."""
        self._beat()
        self._tried[url] = time.monotonic()
        try:
            link = _Link(self._app, url)
        except Exception as error:  # the same
            why = "frozen" if self._froze and is_timeout(error) else reason(error)
            self._reaches[url] = replace(self._reaches[url], reason=why, text=text(error))
            return None
        self._reaches[url] = Reach(shown(url), expires=link.expires, own_expires=link.own_expires)
        return link

    def _drop(self, *, froze: bool) -> None:
        self._froze = froze
        if self._link is not None:
            self._link.drop()
        self._link = None


class _Link:
    """One connection; all may raise whatever its transport does."""

    def __init__(self, app: Any, url: str) -> None:
        self.url = url
        options = dict(app.conf.broker_transport_options)
        if _scheme(url) in _COUNTED:
            options |= {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "max_retries": 0}
        connection = app.connection_for_read(
            url, connect_timeout=TIMEOUT, heartbeat=HEARTBEAT, transport_options=options
        )
        self._transport = connection.transport
        self._connection = self._transport.establish_connection()
        self._is_amqp = isinstance(self._transport, pyamqp.Transport)
        if self._is_amqp:
            self._connection.transport.sock.settimeout(TIMEOUT)
        self._channel = self._transport.create_channel(self._connection)
        self.expires = _runs_out(self._shown)
        self.own_expires = _runs_out(lambda: _own(connection.ssl))

    def _shown(self) -> bytes | None:
        """Return the certificate that the broker has shown; None without TLS, and of a Redis."""
        held = self.socket()
        return held.getpeercert(binary_form=True) if isinstance(held, ssl.SSLSocket) else None

    def ask(self, queue: str, name: str) -> Asked:
        if not self._is_amqp:
            if _scheme(self.url) not in _COUNTED:
                return Asked(queue, unseen=f"a broker of the kind {_scheme(self.url)} is not asked")
            return Asked(queue, self._channel._size(name))  # noqa: SLF001 - what its `queue_declare` asks, after it has made the queue
        try:
            found = self._channel.queue_declare(name, passive=True)
        except NotFound as error:
            refusal = f"there is no such queue on the broker: {error.reply_text}"
        except ChannelError as error:
            refusal = f"the broker does not tell: {error.reply_text}"
        else:
            return Asked(queue, found.message_count, found.consumer_count)
        self._channel = self._transport.create_channel(self._connection)  # the refusal has closed the one before
        return Asked(queue, unseen=refusal)

    def socket(self) -> Any:
        return self._connection.transport.sock if self._is_amqp else None

    def close(self) -> None:
        with suppress(Exception):
            self._transport.close_connection(self._connection)

    def drop(self) -> None:
        """Forget it, without a word to the other end, which may not listen."""
        with suppress(Exception):
            if self._is_amqp:
                self._connection.collect()
            else:
                self._transport.close_connection(self._connection)


def _runs_out(certificate: Callable[[], bytes | None]) -> float | None:
    try:
        der = certificate()
        return None if der is None else runs_out(der)
    except (OSError, ValueError):  # of one that can't be read the connection itself says more
        return None


def _own(settings: Any) -> bytes | None:
    """Return the certificate that settings name, as those of py-amqp or of redis-py; None where they name none."""
    options = settings if isinstance(settings, dict) else {}
    path = options.get("certfile") or options.get("ssl_certfile")
    return first(Path(path).read_text()) if path else None


def _name_at_broker(app: Any, queue: str) -> str:
    """Return what the broker calls a queue: a safe one of a project's own has a name of its own there."""
    found = None if isinstance(app, App) else app.amqp.queues.get(queue)
    return queue if found is None else str(found.name)


def _scheme(url: str) -> str:
    return url.partition("://")[0].partition("+")[0]
