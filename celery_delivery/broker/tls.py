"""TLS to the broker: what Celery is told, and what a refusal means.

what is wrong                                    what OpenSSL or the network says     seen at
-----------------------------------------------  -----------------------------------  --------------
the certificate is for another name or address   verify codes 62 and 64               the handshake
it was signed by somebody else                   18, 19, 20 and 21                    the handshake
its time is over, or has not come                10 and 9                             the handshake
the port does not speak TLS                      WRONG_VERSION_NUMBER and others      the handshake
the broker wants to see a certificate of ours    …ALERT_CERTIFICATE_REQUIRED          the first read
the port speaks TLS and we do not                it hangs up                          the first read
"""

import socket
import ssl
from collections.abc import Mapping
from typing import Any

NAMES = frozenset({62, 64})
ISSUERS = frozenset({18, 19, 20, 21})
TIMES = frozenset({9, 10})
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
OWN = "set RABBITMQ_CERT_FILE and RABBITMQ_KEY_FILE"
LONGEST_LOOK = 3.0  # seconds for finding out whether a port that hung up speaks TLS


def options(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return Celery's broker_use_ssl; raises OSError, ssl.SSLError among them, for files that can't be used.

    The name of the host must match too: without the key `server_hostname` py-amqp accepts a certificate of any host. None
    means each host's own name, which `celery_delivery.broker.transport` sees to.
    """
    authorities = environment.get("RABBITMQ_CA_FILE") or None
    chosen: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": authorities, "server_hostname": None}
    certificate = environment.get("RABBITMQ_CERT_FILE")
    if certificate:
        chosen |= {"certfile": certificate, "keyfile": environment.get("RABBITMQ_KEY_FILE") or certificate}
    return chosen


def refusal(error: ssl.SSLError, address: str, authorities: str | None) -> str:
    """Return why TLS with a broker failed and what to do, as one line.

    authorities: the file of those that are trusted, None for the system's.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message.rstrip(".")
        if error.verify_code in NAMES:
            return (
                f"the certificate of {address} is for another host ({said}): use a name in RABBITMQ_HOST that it is for"
            )
        if error.verify_code in ISSUERS:
            trusted = (
                f"RABBITMQ_CA_FILE ({authorities})" if authorities else "this system, and RABBITMQ_CA_FILE is not set"
            )
            return f"the certificate of {address} was signed by no authority of {trusted} ({said})"
        if error.verify_code in TIMES:
            return f"the certificate of {address} is not valid now ({said}): renew it, or correct this host's clock"
        return f"the certificate of {address} is refused ({said})"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if error.reason in NO_TLS:
        return f"{address} does not speak TLS ({reason}): is it the port for TLS? RabbitMQ's own is 5671"
    if "certificate required" in reason:
        return f"{address} wants to see a certificate ({reason}): {OWN}"
    return f"TLS with {address} fails ({reason})"


def silent_refusal(address: str) -> str:
    """Return what may be wrong where a broker hangs up on one who showed no certificate, as one line."""
    return f"{address} hangs up after the handshake: if it wants to see a certificate, {OWN}"


def answers(host: str, port: int) -> bool:
    """Tell whether a port answers to TLS; its certificate is not looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent over it
    try:
        with socket.create_connection((host, port), LONGEST_LOOK) as plain, context.wrap_socket(plain):
            return True
    except OSError:
        return False
