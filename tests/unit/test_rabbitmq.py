"""Where the broker is, from the environment: what is taken, and what is refused with a line."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from celery_delivery.broker import rabbitmq
from celery_delivery.broker.rabbitmq import hosts, password, tls_options, uses_tls
from celery_delivery.errors import SettingError
from tests.certificates import Authority


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (("localhost", 5672),)),
        ({"RABBITMQ_HOST": "a"}, (("a", 5672),)),
        ({"RABBITMQ_HOST": "a", "RABBITMQ_TLS": "1"}, (("a", 5671),)),
        ({"RABBITMQ_HOST": "a", "RABBITMQ_PORT": "7"}, (("a", 7),)),
        ({"RABBITMQ_HOST": "a:1, b ,c:3", "RABBITMQ_PORT": "7"}, (("a", 1), ("b", 7), ("c", 3))),
        ({"RABBITMQ_HOST": "::1"}, (("[::1]", 5672),)),
        ({"RABBITMQ_HOST": "[::1],[fe80::2]:9"}, (("[::1]", 5672), ("[fe80::2]", 9))),
    ],
)
def test_hosts_and_their_ports(variables: dict[str, str], expected: tuple[tuple[str, int], ...]) -> None:
    assert hosts(variables) == expected


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("RABBITMQ_HOST", "a,,b", "RABBITMQ_HOST names '', but must be host or host:port, with commas between two"),
        ("RABBITMQ_HOST", "a b", "RABBITMQ_HOST names 'a b', but must be host or host:port, with commas between two"),
        ("RABBITMQ_HOST", "amqp://a", "RABBITMQ_HOST names 'amqp://a', whose port must be a number from 1 to 65535"),
        (
            "RABBITMQ_HOST",
            "[a]:1",
            "RABBITMQ_HOST names '[a]:1', but must be host or host:port, with commas between two",
        ),
        ("RABBITMQ_HOST", "a;b", "RABBITMQ_HOST names 'a;b', but must be host or host:port, with commas between two"),
        ("RABBITMQ_HOST", "a:x", "RABBITMQ_HOST names 'a:x', whose port must be a number from 1 to 65535"),
        ("RABBITMQ_HOST", "a:", "RABBITMQ_HOST names 'a:', whose port must be a number from 1 to 65535"),
        ("RABBITMQ_HOST", "a:65536", "RABBITMQ_HOST names 'a:65536', whose port must be a number from 1 to 65535"),
        ("RABBITMQ_PORT", "five", "RABBITMQ_PORT is 'five', but must be a number from 1 to 65535"),
        ("RABBITMQ_TLS", "maybe", "RABBITMQ_TLS is 'maybe', but must be 1 or 0"),
    ],
)
def test_what_is_no_host_or_port_is_refused(variable: str, text: str, said: str) -> None:
    with pytest.raises(SettingError) as refused:
        hosts({variable: text})
    assert str(refused.value) == said


def test_authorities_that_can_t_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for path, reason in ((tmp_path / "nowhere", "No such file or directory"), (tmp_path / "empty", "NO_CERTIFICATE")):
        with pytest.raises(SettingError, match=f"RABBITMQ_CA_FILE names {path}, .*: {reason}"):
            tls_options({"RABBITMQ_TLS": "1", "RABBITMQ_CA_FILE": str(path)})


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.identity("DNS:one"), authority.identity("DNS:other")
    files = {"RABBITMQ_CERT_FILE": str(one.certificate), "RABBITMQ_KEY_FILE": str(other.key)}
    with pytest.raises(SettingError, match=r"RABBITMQ_CERT_FILE names .*: KEY_VALUES_MISMATCH"):
        tls_options({"RABBITMQ_TLS": "1", **files})


def test_without_tls_no_file_is_looked_at() -> None:
    assert tls_options({"RABBITMQ_CA_FILE": "/nowhere"}) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("", False), ("0", False), ("no", False), ("1", True), ("True", True), ("on", True)]
)
def test_tls_is_spoken_when_that_is_said(text: str, expected: bool) -> None:
    assert uses_tls({"RABBITMQ_TLS": text}) is expected


def test_the_password_is_guest_unless_it_is_given() -> None:
    assert password({}) == "guest"
    assert password({"RABBITMQ_PWD": "hunter2"}) == "hunter2"


def test_a_password_file_wins_and_its_last_line_end_is_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" hunter 2 \n")
    variables = {"RABBITMQ_PWD": "other", "RABBITMQ_PWD_FILE": str(tmp_path / "password")}
    assert unquote(password(variables)) == " hunter 2 "


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_password_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match=rf"RABBITMQ_PWD_FILE names {tmp_path}/?{name}, which can't be read: "):
        password({"RABBITMQ_PWD_FILE": str(tmp_path / name)})


@pytest.mark.parametrize(("content", "reason"), [(b"\xff\xfe", "no text"), (b"\n", "empty"), (b"", "empty")])
def test_a_file_without_a_password_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(SettingError, match=f"RABBITMQ_PWD_FILE names .*/password, which is {reason}"):
        password({"RABBITMQ_PWD_FILE": str(tmp_path / "password")})


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_user_password_and_vhost_may_hold_any_character(user: str, secret: str, vhost: str) -> None:
    variables = {"RABBITMQ_USER": user, "RABBITMQ_PWD": secret, "RABBITMQ_VHOST": vhost}
    parts = (rabbitmq.user(variables), rabbitmq.password(variables), rabbitmq.vhost(variables))
    url = rabbitmq.url([("localhost", 5672)], *parts)
    connection = Connection(url)
    assert (connection.userid, connection.password, connection.virtual_host) == (user, secret, vhost)
