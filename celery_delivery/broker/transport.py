"""kombu's transport for AMQP, its faults around TLS mended, and cheaper to read by; in use for URLs that begin with rabbitmq://.

    fault of kombu 5.7's pyamqp                                    seen as                             mend
    -------------------------------------------------------------  ----------------------------------  -----------------
    the name that a certificate must have is written into the      the second broker of a failover     a name for each
    shared settings at the first connection, and stays there       list is refused for ever            attempt
    localhost becomes 127.0.0.1 before the name is taken           a certificate for localhost is      the same
                                                                   refused
    a refusal is OpenSSL's own text, or none at all                "[SSL: CERTIFICATE_VERIFY_FAILED]   TlsError
                                                                   …", "Connection reset by peer"
    py-amqp reads each frame within a context manager              4 % of a no-op task's CPU           _read_frame

It has a name of its own, so that what else in a process talks AMQP keeps kombu's: `tests/integration/test_tls.py`.
"""

import ssl
from collections.abc import Mapping
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, pyamqp

from celery_delivery import internals, mending
from celery_delivery.broker import tls
from celery_delivery.errors import TlsError

SCHEME = "rabbitmq"  # of the broker's URL


def register() -> None:
    """Have kombu know the scheme; without it a URL that begins so names no transport."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


class Connection(pyamqp.Connection):
    """A connection of py-amqp that reads a frame without a context manager, which takes as long as the reading."""

    @mending.where(internals.client.READING)
    def drain_events(self, timeout: float | None = None) -> None:
        """Read frames until one completes what somebody waits for; raises TimeoutError where there is none for so long."""
        is_complete = False
        while not is_complete:
            is_complete = self.on_inbound_frame(self._read_frame(timeout))

    def _read_frame(self, timeout: float | None) -> Any:
        transport = self.transport
        if timeout is None:
            return transport.read_frame()
        socket = transport.sock
        before = socket.gettimeout()
        is_other = timeout != before
        if is_other:
            socket.settimeout(timeout)
        try:
            return transport.read_frame()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise TimeoutError from error
        finally:
            if is_other:
                socket.settimeout(before)


class Transport(pyamqp.Transport):
    """AMQP over TCP or TLS."""

    Connection = Connection
    client: Any

    @mending.where(internals.client.TLS)
    def establish_connection(self) -> Any:
        """Return a new connection to the client's current host; raises TlsError where that fails because of TLS."""
        client = self.client
        host, settings = client.hostname, client.ssl
        try:
            if settings:
                client.ssl = {**settings, "server_hostname": host}
            return super().establish_connection()
        except OSError as error:
            reason = _reason(error, host, client.port, settings or None)
            if reason is None:
                raise
            raise TlsError(reason) from error
        finally:
            client.hostname, client.ssl = host, settings


def _reason(error: OSError, host: str, port: int, settings: Mapping[str, Any] | None) -> str | None:
    """Return why a connection failed where TLS is the reason, or the lack of it; None where it is something else."""
    # A bare OSError is what py-amqp makes of the end of file.
    hung_up = isinstance(error, ConnectionResetError | ssl.SSLEOFError) or (
        type(error) is OSError and error.errno is None
    )
    address = f"{host}:{port}"
    if settings is None:
        wrong = hung_up and tls.answers(host, port)
        return f"{address} speaks TLS: set RABBITMQ_TLS=1, or use its other port" if wrong else None
    if hung_up:
        return None if "certfile" in settings else tls.silent_refusal(address)
    return tls.refusal(error, address, settings.get("ca_certs")) if isinstance(error, ssl.SSLError) else None
