"""Where RabbitMQ is and who we are there, from the environment.

RABBITMQ_HOST           host name or address; default localhost
RABBITMQ_PORT           default 5672, with TLS 5671
RABBITMQ_USER           default guest, which RabbitMQ lets in from its own host only
RABBITMQ_PWD            password; default guest
RABBITMQ_PWD_FILE       file that holds the password; wins over RABBITMQ_PWD, and keeps it out of the environment
RABBITMQ_VHOST          virtual host; default /
RABBITMQ_TLS            1 to speak TLS; the certificate must be for RABBITMQ_HOST
RABBITMQ_CA_FILE        certificates of the authorities to trust; default those of the system
RABBITMQ_CERT_FILE      own certificate, where the broker asks for one
RABBITMQ_KEY_FILE       its key
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})


class BrokerSettingError(ValueError):
    """A variable that says where the broker is can't be used; the message says which and why."""


def password(environment: Mapping[str, str]) -> str:
    """Return the broker's password; raises BrokerSettingError where its file can't be read."""
    path = environment.get("RABBITMQ_PWD_FILE")
    if not path:
        return environment.get("RABBITMQ_PWD", "guest")
    try:
        return Path(path).read_text().rstrip("\n")
    except OSError as error:
        raise BrokerSettingError(f"RABBITMQ_PWD_FILE names {path}, which can't be read: {error.strerror}") from error


def port(environment: Mapping[str, str]) -> int:
    """Return the broker's port; raises BrokerSettingError where it is none."""
    text = environment.get("RABBITMQ_PORT") or ("5671" if uses_tls(environment) else "5672")
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise BrokerSettingError(f"RABBITMQ_PORT is {text!r}, but must be a number from 1 to 65535")
    return int(text)


def uses_tls(environment: Mapping[str, str]) -> bool:
    """Say whether to speak TLS; raises BrokerSettingError for what is neither yes nor no."""
    text = environment.get("RABBITMQ_TLS", "").lower()
    if text not in TRUE | FALSE:
        raise BrokerSettingError(f"RABBITMQ_TLS is {text!r}, but must be 1 or 0")
    return text in TRUE


def tls_options(environment: Mapping[str, str], host: str) -> dict[str, Any] | None:
    """Return Celery's broker_use_ssl, or None without TLS.

    The host's name is always checked: without `server_hostname` py-amqp accepts a certificate of any other host.
    """
    if not uses_tls(environment):
        return None
    options: dict[str, Any] = {
        "cert_reqs": ssl.CERT_REQUIRED,
        "ca_certs": environment.get("RABBITMQ_CA_FILE") or ssl.get_default_verify_paths().cafile,
        "server_hostname": host,
    }
    if environment.get("RABBITMQ_CERT_FILE"):
        options["certfile"] = environment["RABBITMQ_CERT_FILE"]
        options["keyfile"] = environment.get("RABBITMQ_KEY_FILE") or environment["RABBITMQ_CERT_FILE"]
    return options


def url_part(text: str) -> str:
    """Return a user, password or virtual host as it must stand in a URL."""
    return quote(text, safe="")


RABBITMQ_HOST = os.environ.get("RABBITMQ_HOST") or "localhost"
RABBITMQ_PORT = port(os.environ)
RABBITMQ_USER = url_part(os.environ.get("RABBITMQ_USER") or "guest")
RABBITMQ_PWD = url_part(password(os.environ))
RABBITMQ_VHOST = url_part(os.environ.get("RABBITMQ_VHOST") or "/")
RABBITMQ_SSL = tls_options(os.environ, RABBITMQ_HOST)
