"""What `agent run --dev` makes of records, and which files it takes for a project's own."""

from pathlib import Path

import pytest

from agent.cli.develop.files import changed, look
from agent.cli.develop.project import BROKER, project_of
from agent.cli.develop.records import decode
from agent.cli.develop.view import View
from agent.guest.journal import encode

FAULT = "Traceback (most recent call last):\n  File x\nImportError: no"


def lines(view: View, **fields: str) -> list[str]:
    return list(view.lines(fields, "10:00:00"))


def test_each_line_of_a_print_has_the_task_s_name_and_id() -> None:
    record = {"CELERY_QUEUE": "q", "CELERY_TASK_ID": "id-1", "CELERY_TASK_NAME": "words", "MESSAGE": "a\nb"}
    assert lines(View(colours=False), **record) == ["10:00:00 q  words[id-1] a", "10:00:00 q  words[id-1] b"]


def test_a_queue_has_one_colour_which_no_other_has() -> None:
    view = View(colours=True)
    first = {queue: lines(view, CELERY_QUEUE=queue, MESSAGE="x")[0].split(queue)[0] for queue in "abcdefgh"}
    assert len(set(first.values())) == 8
    assert all(lines(view, CELERY_QUEUE=queue, MESSAGE="y")[0].startswith(start) for queue, start in first.items())


def test_a_fault_is_shown_once_until_other_code_runs() -> None:
    view = View(colours=False)
    assert len(lines(view, CELERY_QUEUE="a", MESSAGE=FAULT, PRIORITY="3")) == 3
    (line,) = lines(view, CELERY_QUEUE="b", MESSAGE=FAULT, PRIORITY="3")
    assert line == "10:00:00 b  ImportError: no (the fault that is shown above, of a)"
    view.forget_faults()
    assert len(lines(view, CELERY_QUEUE="b", MESSAGE=FAULT, PRIORITY="3")) == 3


def test_each_failed_task_has_its_traceback() -> None:
    view = View(colours=False)
    assert [len(lines(view, CELERY_QUEUE="a", CELERY_TASK_ID=each, MESSAGE=FAULT)) for each in ("1", "2")] == [3, 3]


def test_what_would_act_upon_the_terminal_is_an_escape() -> None:
    assert lines(View(colours=True), CELERY_QUEUE="q", MESSAGE="\x1b[2J\r")[0].endswith("\\x1b[2J\\r")


def test_the_agent_s_facts_about_workers_are_left_out_and_its_troubles_are_not() -> None:
    view = View(colours=False)
    assert lines(view, CELERY_EVENT="worker-forked", CELERY_QUEUE="q", MESSAGE="worker-forked", PRIORITY="6") == []
    assert lines(view, CELERY_EVENT="worker-exited", CELERY_QUEUE="q", MESSAGE="worker-exited", PRIORITY="4")


def test_a_record_is_read_as_it_was_written() -> None:
    fields = {"MESSAGE": "two\nlines = x", "CELERY_QUEUE": "q", "EMPTY": ""}
    assert decode(encode(fields)) == fields


@pytest.mark.parametrize("datagram", [b"no line", b"NAME\nshort", b"NAME\n"])
def test_what_is_no_record_is_refused(datagram: bytes) -> None:
    with pytest.raises(ValueError, match="field|found"):
        decode(datagram)


def test_files_are_new_gone_or_different(tmp_path: Path) -> None:
    for name in ("kept.py", "gone.py", "other.py", "notes.txt"):
        (tmp_path / name).write_text("")
    before = look([tmp_path])
    (tmp_path / "gone.py").unlink()
    (tmp_path / "replacing").write_text("")
    (tmp_path / "replacing").rename(tmp_path / "other.py")  # as editors save
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "new.py").write_text("")
    (tmp_path / "notes.txt").write_text("x")
    names = [str(tmp_path / name) for name in ("gone.py", "other.py", "package/new.py")]
    assert changed(before, look([tmp_path])) == names


def test_what_is_installed_hidden_or_linked_to_above_is_left_out(tmp_path: Path) -> None:
    for folder in (".git", "__pycache__", "venv/lib", "node_modules"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.py").write_text("")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to("nowhere")
    assert look([tmp_path, tmp_path / "missing"]) == {}


def test_a_name_that_is_not_utf_8_is_a_file_as_others_are(tmp_path: Path) -> None:
    (Path(str(tmp_path)) / "caf\udce9.py").write_text("")
    assert len(look([tmp_path])) == 1


@pytest.mark.parametrize(
    ("line", "broker"),
    [
        ("", "embedded"),
        ("RABBITMQ_HOST=broker.example", None),
        ("CELERY_BROKER_URL=amqp://broker.example", None),
        ("CELERY_TASKS_BROKER=embedded:///srv/broker", None),
    ],
)
def test_the_embedded_broker_is_taken_where_none_is_named(tmp_path: Path, line: str, broker: str | None) -> None:
    env_file = tmp_path / "magic.env"
    env_file.write_text(f"CELERY_AGENT_TASKS=m:A\nCELERY_AGENT_PATH={tmp_path}\n{line}\n")
    project = project_of(env_file, {})
    assert project.variables.get(BROKER) == broker
    assert project.folders == (tmp_path,)
