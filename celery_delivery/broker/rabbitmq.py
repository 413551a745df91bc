"""Where RabbitMQ is and who we are there, from the environment.

RABBITMQ_HOST           host name or address, or several with commas between them, each tried when the one before is
                        away; default localhost. One may bring its own port: host:port, and [::1]:port for IPv6
RABBITMQ_PORT           of the hosts that bring none; default 5672, with TLS 5671
RABBITMQ_USER           default guest, which RabbitMQ lets in from its own host only
RABBITMQ_PWD            password; default guest
RABBITMQ_PWD_FILE       file that holds the password; wins over RABBITMQ_PWD, and keeps it out of the environment
RABBITMQ_VHOST          virtual host; default /
RABBITMQ_TLS            1 to speak TLS; each host's certificate must be for that host
RABBITMQ_CA_FILE        certificates of the authorities to trust; default those of the system
RABBITMQ_CERT_FILE      own certificate, where the broker asks for one
RABBITMQ_KEY_FILE       its key
"""

import re
import ssl
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import quote

from celery_delivery.broker import tls, transport
from celery_delivery.errors import SettingError

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})
_HOST = re.compile(r"(?P<name>\[[^\]]+\]|[^\s/@:;?#\[\]]+)(:(?P<port>.*))?")


def password(environment: Mapping[str, str]) -> str:
    """Return the broker's password as it must stand in a URL; raises SettingError where its file has none."""
    path = environment.get("RABBITMQ_PWD_FILE")
    if not path:
        return quote(environment.get("RABBITMQ_PWD", "guest"), safe="")
    try:
        text = Path(path).read_text().rstrip("\n")
    except OSError as error:
        raise SettingError(f"RABBITMQ_PWD_FILE names {path}, which can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"RABBITMQ_PWD_FILE names {path}, which is no text") from error
    if not text:
        raise SettingError(f"RABBITMQ_PWD_FILE names {path}, which is empty")
    return quote(text, safe="")


def port(environment: Mapping[str, str]) -> int:
    """Return the port of hosts that bring none of their own; raises SettingError where it is none."""
    text = environment.get("RABBITMQ_PORT") or ("5671" if uses_tls(environment) else "5672")
    number = _port(text)
    if number is None:
        raise SettingError(f"RABBITMQ_PORT is {text!r}, but must be a number from 1 to 65535")
    return number


def hosts(environment: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Return the brokers as host, as it stands in a URL, and port, in the order to try them.

    Raises SettingError for what is no host.
    """
    default = port(environment)
    given = environment.get("RABBITMQ_HOST") or "localhost"
    return tuple(_host(item.strip(), default) for item in given.split(","))


def uses_tls(environment: Mapping[str, str]) -> bool:
    """Say whether to speak TLS; raises SettingError for what is neither yes nor no."""
    text = environment.get("RABBITMQ_TLS", "").lower()
    if text not in TRUE | FALSE:
        raise SettingError(f"RABBITMQ_TLS is {text!r}, but must be 1 or 0")
    return text in TRUE


def tls_options(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Return Celery's broker_use_ssl, or None without TLS; raises SettingError for files that can't be used."""
    if not uses_tls(environment):
        return None
    options = tls.options(environment)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if options["ca_certs"]:
        try:
            context.load_verify_locations(options["ca_certs"])
        except OSError as error:
            raise _unusable("RABBITMQ_CA_FILE", options["ca_certs"], "certificates", error) from error
    if "certfile" in options:
        try:
            context.load_cert_chain(options["certfile"], options["keyfile"])
        except OSError as error:
            files = " and RABBITMQ_KEY_FILE ".join(dict.fromkeys([options["certfile"], options["keyfile"]]))
            raise _unusable("RABBITMQ_CERT_FILE", files, "a certificate and its key", error) from error
    return options


def user(environment: Mapping[str, str]) -> str:
    """Return the user's name as it must stand in a URL."""
    return quote(environment.get("RABBITMQ_USER") or "guest", safe="")


def vhost(environment: Mapping[str, str]) -> str:
    """Return the virtual host as it must stand in a URL."""
    return quote(environment.get("RABBITMQ_VHOST") or "/", safe="")


def url(brokers: Iterable[tuple[str, int]], user: str, password: str, vhost: str) -> str:
    """Return Celery's broker_url for some hosts with their ports; the rest as it must stand in a URL.

    It has a scheme of our own, which kombu knows from now on: `celery_delivery.broker.transport`.
    """
    transport.register()
    return ";".join(f"{transport.SCHEME}://{user}:{password}@{host}:{port}/{vhost}" for host, port in brokers)


def _host(item: str, default: int) -> tuple[str, int]:
    found = _HOST.fullmatch(f"[{item}]" if _is_ipv6(item) else item)
    if found is None or (found["name"].startswith("[") and not _is_ipv6(found["name"][1:-1])):
        raise SettingError(f"RABBITMQ_HOST names {item!r}, but must be host or host:port, with commas between two")
    number = default if found["port"] is None else _port(found["port"])
    if number is None:
        raise SettingError(f"RABBITMQ_HOST names {item!r}, whose port must be a number from 1 to 65535")
    return found["name"], number


def _port(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() and 0 < int(text) < 65_536 else None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _unusable(variable: str, files: str, wanted: str, error: OSError) -> SettingError:
    said = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)
    return SettingError(f"{variable} names {files}, of which no {wanted} can be read: {said}")
