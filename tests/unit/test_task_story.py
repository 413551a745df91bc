"""The story of a task: what journalctl prints as records, and a story as text."""

import json
import socket
from pathlib import Path
from subprocess import Popen

import pytest

from agent.cli.task import Letter, Running, Story, lines
from agent.errors import AgentError
from agent.operate import journal
from agent.operate.journal import Record, parsed, place_beside, told_of

RECEIVED = {
    "__REALTIME_TIMESTAMP": "1500000",
    "MESSAGE": "Task send[id] received",
    "LOGGER": "celery.worker.strategy",
    "CELERY_INSTANCE": "magic",
    "CELERY_QUEUE": "mails",
    "CELERY_GENERATION": "3",
    "CELERY_TASK_NAME": "send",
    "_PID": "512",
}
RECORD = Record(1.5, "magic", "mails", "3", 512, "send", "Task send[id] received", is_delivery=True)


def test_a_record_has_what_the_journal_says() -> None:
    assert list(parsed(json.dumps(RECEIVED))) == [RECORD]


def test_a_record_without_fields_of_ours_has_them_empty() -> None:
    assert list(parsed('{"MESSAGE": "hello"}')) == [Record(0.0, "", "", "", 0, "", "hello", is_delivery=False)]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ([104, 105, 255], "hi\\xff"),
        (None, ""),
        ([300, "x"], "300 x"),
    ],
)
def test_a_message_that_is_no_text_is_shown_all_the_same(message: object, text: str) -> None:
    assert [each.text for each in parsed(json.dumps({"MESSAGE": message}))] == [text]


def test_what_is_no_record_is_left_out() -> None:
    assert list(parsed('-- No entries --\n[]\n"text"\n{broken')) == []


def test_another_logger_s_words_are_no_delivery() -> None:
    assert not any(each.is_delivery for each in parsed(json.dumps({**RECEIVED, "LOGGER": "mine"})))


def journalctl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have a small program stand where journalctl would."""
    program = folder / "journalctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_records_of_the_task_and_of_ended_workers_come_in_order_of_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = {"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": "worker-exited running=send[id]"}
    both = f"case \"$*\" in *CELERY_TASK_ID=id) echo '{json.dumps(RECEIVED)}';; *--grep=id*) echo '{json.dumps(ended)}';; esac"
    journalctl(tmp_path, monkeypatch, both)
    assert [each.at for each in told_of("id").records] == [1.0, 1.5]


def test_nothing_found_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journalctl(tmp_path, monkeypatch, "exit 1")
    assert told_of("id").records == ()


def test_a_user_who_may_read_a_part_alone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journalctl(tmp_path, monkeypatch, "echo 'Hint: You are currently not seeing messages from other users.' >&2")
    assert "may not read all of the journal" in told_of("id").gap


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo 'No journal files were found.' >&2; exit 1", "the journal can't be read: No journal files were found."),
        ("sleep 60", "the journal gave no answer in 0.1 s"),
    ],
)
def test_a_journal_that_can_not_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, text: str
) -> None:
    monkeypatch.setattr(journal, "TIMEOUT", 0.1 if "sleep" in script else 60.0)
    journalctl(tmp_path, monkeypatch, f"exec {script}" if "sleep" in script else script)
    with pytest.raises(AgentError, match=text):
        told_of("id")


def test_a_host_without_journalctl_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AgentError, match="no journalctl on this host"):
        told_of("id")


def test_an_id_with_a_zero_byte_is_one_line() -> None:
    with pytest.raises(AgentError, match="the journal can't be read"):
        told_of("a\0b")


def test_where_a_process_writes_that_is_not_the_journal_is_named(tmp_path: Path) -> None:
    log, (ours, journal_s) = tmp_path / "magic.log", socket.socketpair()
    with (
        log.open("w") as file,
        ours,
        journal_s,
        Popen(["sleep", "60"], stderr=file) as shell,
        Popen(["sleep", "60"], stderr=ours.fileno()) as unit,
    ):
        places = [place_beside(each.pid) for each in (shell, unit)]
        for each in (shell, unit):
            each.kill()
    assert places == [str(log), ""]
    assert place_beside(shell.pid) == ""


def test_a_story_begins_with_how_it_stands() -> None:
    running = Running("magic", "mails", 512, 3.21)
    letter = Letter("magic", "mails", "send", "deaths", "its worker died three times", 3, 1.0)
    told = lines(Story("id", (RECORD, RECORD), (running,), (letter,), ("the journal is away",)))
    assert told[0] == "send[id]: received 2 times, mails of magic runs it, for 3.2 s (pid 512), a dead letter of mails"
    assert told[2].split() == ["TIME", "QUEUE", "PID", "SAYS"]
    assert told[3].endswith("mails.3  512  Task send[id] received")
    assert told[-4:] == [
        "dead letter: deaths: its worker died three times",
        "  agent dead-letters magic show id",
        "",
        "not known: the journal is away",
    ]


def test_nothing_known_is_said() -> None:
    assert lines(Story("id", (), (), (), ())) == ["id: nothing is known of it here"]


def test_what_others_have_written_acts_upon_no_terminal() -> None:
    evil = Record(1.5, "magic", "m\x1b", "3", 5, "n\n", "one\x1b[2J\ntwo", is_delivery=False)
    told = "\n".join(lines(Story("i\x1bd", (evil,), (), (), ("\x07",))))
    assert "\x1b" not in told
    assert "\x07" not in told
    assert "one\\x1b[2J" in told
