"""Secrets: what is taken for one, and texts without them."""

import json
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from agent.guest.secrets import MASK, Redactor, is_secret, names_secret_file, redacted


@pytest.mark.parametrize(
    "name",
    [
        "RABBITMQ_PWD",
        "DB_PASSWORD",
        "PGPASSWORD",
        "API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "SENTRY_DSN",
        "db_pass",
        "PRIVATEKEY",
        "SIGNING_KEYS",
        "SESSION_COOKIE",
        "ERLANGCOOKIE",
        "BASIC_AUTH",
        "AUTHORIZATION",
        "KEYPASSPHRASE",
    ],
)
def test_a_variable_is_secret_by_its_name(name: str) -> None:
    assert is_secret(name, "value")


@pytest.mark.parametrize(
    "name",
    ["PWD", "OLDPWD", "RABBITMQ_PWD_FILE", "TOKENIZERS_PARALLELISM", "KEYBOARD", "COMPASS", "AUTHOR", "SSH_AUTH_SOCK"],
)
def test_a_name_that_only_resembles_one_is_not_secret(name: str) -> None:
    assert not is_secret(name, "value")


def test_a_url_with_a_password_is_secret_whatever_its_name() -> None:
    assert is_secret("RESULTS", "redis://:hunter2@host:6379/0")
    assert not is_secret("RESULTS", "redis://host:6379/0")


def test_an_empty_variable_holds_nothing_to_hide() -> None:
    assert not is_secret("RABBITMQ_PWD", "")


def test_a_switch_is_no_secret_and_its_word_stays_readable() -> None:
    assert not is_secret("SMTP_AUTH", "true")
    assert redacted("it is true", [("SMTP_AUTH", "true")]) == "it is true"


@pytest.mark.parametrize("password", ["pa/ss", "p@ss", "p@s/s:w", "/", "@@", "p%2Fss", "a;b,c", "o'clock"])
def test_the_password_of_a_url_is_masked_whatever_signs_it_has(password: str) -> None:
    text = f"amqp://me:{password}@first//;amqp://me@corp:{password}@second:5672// is away"
    assert redacted(text, []) == "amqp://me:**@first//;amqp://me@corp:**@second:5672// is away"


def test_a_url_without_a_password_stays() -> None:
    text = "redis://host:6379/0, https://host:8080/a and me@example.org"
    assert redacted(text, []) == text


def test_the_password_of_a_url_is_masked_where_it_stands_alone_too() -> None:
    variables = [("RESULTS", "redis://:hun%2Fter2@host/0"), ("STORE", "db://me:in/side@host/d@ta")]
    variables.append(("BROKER", "amqp://guest:guest@host"))
    assert redacted("hun/ter2 hun%2Fter2 in/side guest", variables) == "** ** ** guest"


@pytest.mark.parametrize("secret", ["back\\slash", "a\"b'c", "gr\u00fcn\u20ac", "two\nlines", "a b/c+d&e", "tab\t\x1b"])
def test_a_secret_is_masked_however_it_is_quoted(secret: str) -> None:
    redact = Redactor([("API_TOKEN", secret)])
    shown = {
        "text": secret,
        "repr": repr(secret),
        "repr in a dict": repr({"token": [secret]}),
        "repr of what has both quotation marks": repr(f"{secret} or 'this' or \"that\""),
        "ascii": ascii(secret),
        "bytes": repr(secret.encode()),
        "JSON": json.dumps({"token": secret}),
        "JSON with its own letters": json.dumps({"token": secret}, ensure_ascii=False),
        "URL": f"https://host/?token={quote(secret, '')}",
        "form": urlencode({"token": secret}),
    }
    assert [how for how, text in shown.items() if MASK not in redact(text)] == []


def test_secrets_are_masked_in_a_text() -> None:
    text = "can't log in with 'hunter2' at amqp://me:other@host//"
    assert redacted(text, [("RABBITMQ_PWD", "hunter2")]) == "can't log in with '**' at amqp://me:**@host//"


def test_of_two_secrets_of_which_one_is_part_of_the_other_nothing_is_left() -> None:
    assert redacted("hunter2hunter2", [("A_PWD", "hunter2"), ("B_PWD", "hunter2hunter2")]) == "**"


def test_other_values_stay() -> None:
    assert redacted("host", [("RABBITMQ_HOST", "host"), ("PWD", "host")]) == "host"


def test_what_a_secret_file_holds_is_masked_and_its_name_is_not(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    variables = [("RABBITMQ_PWD_FILE", str(file)), ("RABBITMQ_KEY_FILE", str(tmp_path / "none"))]
    assert redacted(f"hunter2 in {file}", variables) == f"** in {file}"


@pytest.mark.parametrize(("name", "holds"), [("RABBITMQ_PWD_FILE", True), ("RABBITMQ_CA_FILE", False), ("PWD", False)])
def test_a_variable_that_names_a_secret_file_is_known_by_its_name(name: str, holds: bool) -> None:
    assert names_secret_file(name, "/some/file") is holds
