"""Dead letters as people see them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cli.letter_table import arguments, listing, whole
from agent.guest.answer.letters import headers_again
from agent.guest.dead_letter import DeadLetter

LETTER = DeadLetter(
    queue="emails",
    id="0123456789",
    task="send",
    args=["you", 1],
    kwargs={"subject": None},
    reason="arguments",
    text="missing a required argument: 'body'",
    deaths=2,
    first=0.0,
    last=None,
)


def test_ids_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    lines = listing("magic", [LETTER, replace(LETTER, id="01234567ab")]).splitlines()
    assert [line.split()[0] for line in lines[3:]] == ["012345678", "01234567a"]


def test_the_longest_words_of_one_letter_leave_the_rows_of_all_short() -> None:
    long = "x" * 50_000
    lines = listing("magic", [LETTER, *(replace(LETTER, id=long + end, task=long) for end in "ab")]).splitlines()
    assert max(map(len, lines)) < 300
    assert [line.split()[1] for line in lines[3:]] == ["emails"] * 3


def test_arguments_are_written_as_in_a_call() -> None:
    assert arguments(LETTER) == "'you', 1, subject=None"
    assert arguments(replace(LETTER, args=None)) == "-"


def test_on_a_narrow_terminal_times_go_before_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    headings = listing("magic", [LETTER]).splitlines()[2].split()
    assert "FIRST" not in headings
    assert {"ID", "QUEUE", "REASON"} <= set(headings)
    assert max(map(len, listing("magic", [LETTER]).splitlines())) <= 60


def test_a_whole_letter_says_why_it_is_there() -> None:
    text = whole(replace(LETTER, headers={"task": "send"}, body="[]"))
    assert "reason       arguments: missing a required argument: 'body'" in text
    assert "body         []" in text


def test_a_replay_leaves_out_what_brokers_write_and_keeps_the_rest() -> None:
    of_brokers = {
        "x-death": [{"count": 1}],
        "x-delivery-count": 1,
        "x-first-death-queue": "emails",
        "x-last-death-reason": "rejected",
    }
    kept = {"id": LETTER.id, "x-tenant": "one"}
    again = headers_again(kept | of_brokers, LETTER)
    assert {name: value for name, value in again.items() if not name.startswith("celery-tasks-")} == kept
