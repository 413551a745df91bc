"""Secrets: what is taken for one, and texts without them."""

import pytest

from agent.secrets import is_secret, redacted


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
    ],
)
def test_a_variable_is_secret_by_its_name(name: str) -> None:
    assert is_secret(name, "value")


@pytest.mark.parametrize(
    "name", ["PWD", "OLDPWD", "RABBITMQ_PWD_FILE", "TOKENIZERS_PARALLELISM", "KEYBOARD", "COMPASS"]
)
def test_a_name_that_only_resembles_one_is_not_secret(name: str) -> None:
    assert not is_secret(name, "value")


def test_a_url_with_a_password_is_secret_whatever_its_name() -> None:
    assert is_secret("RESULTS", "redis://:hunter2@host:6379/0")
    assert not is_secret("RESULTS", "redis://host:6379/0")


def test_an_empty_variable_holds_nothing_to_hide() -> None:
    assert not is_secret("RABBITMQ_PWD", "")


def test_secrets_are_masked_in_a_text() -> None:
    text = "can't log in with 'hunter2' at amqp://me:other@host//"
    assert redacted(text, [("RABBITMQ_PWD", "hunter2")]) == "can't log in with '**' at amqp://me:**@host//"


def test_of_two_secrets_of_which_one_is_part_of_the_other_nothing_is_left() -> None:
    assert redacted("hunter2hunter2", [("A_PWD", "hunter2"), ("B_PWD", "hunter2hunter2")]) == "**"


def test_other_values_stay() -> None:
    assert redacted("host", [("RABBITMQ_HOST", "host"), ("PWD", "host")]) == "host"
