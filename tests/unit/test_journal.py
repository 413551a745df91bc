"""Records on their way to the journal."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.guest.journal import LONGEST, Journal, Priority, connected, encode
from agent.run.logs import Log
from tests.journal import parse

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(NAMES, TEXTS))
def test_whatever_a_value_holds_it_arrives_as_it_is(fields: dict[str, str]) -> None:
    assert dict(parse(encode(fields))) == fields


def test_what_is_none_is_left_out_and_a_priority_is_a_number() -> None:
    assert dict(parse(encode({"A": None, "PRIORITY": Priority.WARNING}))) == {"PRIORITY": "4"}


def test_what_can_t_be_encoded_is_written_so_that_it_can_be_read() -> None:
    assert dict(parse(encode({"A": "\ud800"}))) == {"A": "\\ud800"}


def test_a_value_that_the_journal_would_refuse_is_cut() -> None:
    (value,) = dict(parse(encode({"A": "x" * (LONGEST + 10)}))).values()
    assert value.endswith("x… (10 bytes more)")


def test_stderr_that_leads_elsewhere_is_not_the_journal_s() -> None:
    assert connected({}) is None
    assert connected({"JOURNAL_STREAM": "1:1"}) is None


def test_stderr_that_leads_to_the_journal_is_known_by_its_number() -> None:
    status = os.fstat(2)
    journal = connected({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    assert journal is not None
    os.close(journal.fileno())


def test_a_fact_is_a_plain_line_where_there_is_no_journal(capfd: pytest.CaptureFixture[str]) -> None:
    Log("magic").fact("worker-exited", queue="a b", generation=3, running=None)
    assert capfd.readouterr().err == 'celery-agent[magic]: worker-exited queue="a b" generation=3\n'


def test_a_fact_is_a_plain_line_where_the_journal_is_gone(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Log("magic", Journal(str(tmp_path / "none"))).fact("ready")
    assert capfd.readouterr().err == "celery-agent[magic]: ready\n"


def test_a_fact_shows_no_password(capfd: pytest.CaptureFixture[str]) -> None:
    Log("magic").trouble("reload-refused", reason="amqp://me:swordfish@broker")
    assert "swordfish" not in capfd.readouterr().err
