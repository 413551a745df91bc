"""Settings: what an env file makes of them, and the one line for each thing that is wrong."""

import sys
from pathlib import Path

import pytest

from agent.config.envfile import parse_env_file
from agent.config.problems import InvalidConfiguration
from agent.config.settings import LogLevel, Pool, QueueSettings, Settings
from agent.config.validation import Configuration, read_settings

PATH = Path("/etc/celery-agent/magic.env")
TASKS = "CELERY_AGENT_TASKS=magic_consumer.tasks:ActualMagicCeleryTask"


def read(*lines: str) -> Configuration:
    return read_settings(parse_env_file("\n".join([TASKS, *lines]).encode(), PATH))


def problem(*lines: str) -> str:
    """Return the only problem that the lines have."""
    with pytest.raises(InvalidConfiguration) as error:
        read(*lines)
    (only,) = error.value.problems
    return only.line


def test_the_tasks_are_all_that_is_needed() -> None:
    assert read().settings == Settings(tasks=("magic_consumer.tasks:ActualMagicCeleryTask",))


def test_the_process_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_AGENT_PRELOAD", "numpy")
    assert read().settings.preload == ()


def test_lists_are_split_at_commas_and_folders_at_colons(tmp_path: Path) -> None:
    settings = read("CELERY_AGENT_TASKS='a:A,\n b.c:D,'", f"CELERY_AGENT_PATH=/:{tmp_path}").settings
    assert settings.tasks == ("a:A", "b.c:D")
    assert settings.path == ("/", str(tmp_path))


def test_numbers_and_words_are_read() -> None:
    defaults = read(
        "CELERY_AGENT_DEFAULTS__POOL=threads",
        "CELERY_AGENT_DEFAULTS__CONCURRENCY=8",
        "CELERY_AGENT_DEFAULTS__WARM_TIMEOUT=2.5",
        "CELERY_AGENT_DEFAULTS__LOG_LEVEL=debug",
    ).settings.defaults
    assert defaults == QueueSettings(pool=Pool.THREADS, concurrency=8, warm_timeout=2.5, log_level=LogLevel.DEBUG)


def test_an_empty_limit_is_no_limit() -> None:
    assert read("CELERY_AGENT_DEFAULTS__TIME_LIMIT=").settings.defaults.time_limit is None


def test_the_settings_of_a_queue_come_from_variables_and_from_json() -> None:
    queues = read(
        "CELERY_AGENT_QUEUES__a__b__POOL=solo",
        'CELERY_AGENT_QUEUES={"mails.out": {"POOL": "threads", "concurrency": 4, "time_limit": null}}',
    ).settings.queues
    assert queues == {
        "a__b": QueueSettings(pool=Pool.SOLO),
        "mails.out": QueueSettings(pool=Pool.THREADS, concurrency=4, time_limit=None),
    }


def test_without_tasks_there_is_nothing_to_run() -> None:
    with pytest.raises(
        InvalidConfiguration, match=r"^/etc/celery-agent/magic.env: CELERY_AGENT_TASKS is missing. Name "
    ):
        read_settings(parse_env_file(b"A=1", PATH))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("CELERY_AGENT_TASKS=", "CELERY_AGENT_TASKS is empty. Name the task classes"),
        ("CELERY_AGENT_TASKS=' , '", "CELERY_AGENT_TASKS is empty. Name the task classes"),
        ("CELERY_AGENT_TASKS=a.b.C", "names 'a.b.C', which is not module:Class. Write a.b:C."),
        ("CELERY_AGENT_TASKS=a:b:C", "names 'a:b:C', which is not module:Class. Write package.module:Class."),
        ("CELERY_AGENT_TASKS=a:B,a:B", "names 'a:B' twice. Name it once."),
        ("CELERY_AGENT_TASKS=a:B,,c:D", "has nothing behind 'a:B' and its ','. Name what is missing there"),
        ("CELERY_AGENT_CONSUME=mail, ,+adhoc", "has nothing behind 'mail' and its ','."),
        ("CELERY_AGENT_SENDS=,a", "has nothing before its first ','."),
        ("CELERY_AGENT_PRELOAD=a,b,,", "has nothing behind 'b' and its ','."),
        ("CELERY_AGENT_PATH=/::/tmp", "has nothing behind '/' and its ':'."),
        ("CELERY_AGENT_PRELOAD=a-b", "names 'a-b', which is no module. Write package.module"),
        ("CELERY_AGENT_PATH=src", "names 'src', which is not absolute"),
        ("CELERY_AGENT_PATH=/nowhere", "names '/nowhere', which is not there. Name the folder"),
        (f"CELERY_AGENT_PATH={sys.executable}", "which is a file. Name the folder"),
        ("CELERY_AGENT_PYTHON=python3", "is 'python3', which is not absolute. Write the path"),
        (
            "CELERY_AGENT_PYTHON=/nowhere/python",
            "is '/nowhere/python', which is not there. Make the virtual environment",
        ),
        ("CELERY_AGENT_PYTHON=/", "is '/', which is a folder."),
        ("CELERY_AGENT_PYTHON=/etc/passwd", "is '/etc/passwd', which this user can't execute."),
        ("CELERY_AGENT_IMPORT_TIMEOUT=soon", "is 'soon', but must be a number of seconds above 0, at most 240."),
        ("CELERY_AGENT_IMPORT_TIMEOUT=nan", "is 'nan', but must be a number of seconds above 0, at most 240."),
        ("CELERY_AGENT_IMPORT_TIMEOUT=0", "is '0', but must be a number of seconds above 0, at most 240."),
        ("CELERY_AGENT_DEFAULTS__CONCURRENCY=0", "is '0', but must be a whole number from 1 to 1024."),
        ("CELERY_AGENT_DEFAULTS__CONCURRENCY=two", "is 'two', but must be a whole number from 1 to 1024."),
        ("CELERY_AGENT_DEFAULTS__CONCURRENCY=1.5", "is '1.5', but must be a whole number from 1 to 1024."),
        ("CELERY_AGENT_DEFAULTS__PREFETCH=-1", "is '-1', but must be a whole number from 1 to 10000."),
        ("CELERY_AGENT_DEFAULTS__TIME_LIMIT=0", "above 0, at most 31536000, or empty."),
        ("CELERY_AGENT_DEFAULTS__POOL=thread", "must be one of prefork, threads, solo. Did you mean threads?"),
        ("CELERY_AGENT_DEFAULTS__POOL=gevent", "must be one of prefork, threads, solo."),
        (
            "CELERY_AGENT_DEFAULTS__LOG_LEVEL=loud",
            "is 'loud', but must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL.",
        ),
        ("CELERY_AGENT_QUEUES__a__CONCURRENCY=0", "CELERY_AGENT_QUEUES__a__CONCURRENCY is '0', but must be"),
        ("CELERY_AGENT_TASK=x", "CELERY_AGENT_TASK is no setting of the agent. Did you mean CELERY_AGENT_TASKS?"),
        ("celery_agent_tasks=x", "celery_agent_tasks is no setting of the agent. Did you mean CELERY_AGENT_TASKS?"),
        ("CELERY_AGENT_POOL=solo", "is no setting of the agent. Did you mean CELERY_AGENT_DEFAULTS__POOL?"),
        ("CELERY_AGENT_DEFAULTS__POL=solo", "Did you mean CELERY_AGENT_DEFAULTS__POOL?"),
        ("CELERY_AGENT_WHATEVER=x", "is no setting of the agent. `agent config --example` shows them all."),
        ("CELERY_AGENT_QUEUES__a__POL=solo", "ends in POL, which is no setting of a queue. Did you mean POOL?"),
        ("CELERY_AGENT_QUEUES__a__COLOUR=red", "They are POOL, CONCURRENCY, PREFETCH"),
        ("CELERY_AGENT_QUEUES__POOL=solo", "names no queue. Write CELERY_AGENT_QUEUES__<queue>__<SETTING>."),
        ("CELERY_AGENT_CONFIG_DIR=/x", "says where env files are, so one can't set it."),
        ("CELERY_AGENT_QUEUES=threads", "CELERY_AGENT_QUEUES is not JSON: "),
        ("CELERY_AGENT_QUEUES=" + "[" * 5000, "CELERY_AGENT_QUEUES is not JSON: it is nested too deeply."),
        ("CELERY_AGENT_QUEUES=[]", "CELERY_AGENT_QUEUES is no JSON object."),
        ('CELERY_AGENT_QUEUES={"a.b": 1}', "CELERY_AGENT_QUEUES has no JSON object for 'a.b'."),
        ('CELERY_AGENT_QUEUES={"a.b": {"POOL": true}}', "has true as POOL of 'a.b'. Give a number or a text."),
        (
            'CELERY_AGENT_QUEUES={"a.b": {"POL": 1}}',
            "has 'POL' for 'a.b', which is no setting of a queue. Did you mean POOL?",
        ),
        ('CELERY_AGENT_QUEUES={"a.b": {"PREFETCH": 0}}', "CELERY_AGENT_QUEUES[\"a.b\"].PREFETCH is '0', but must be"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_place_and_what_to_do(line: str, words: str) -> None:
    found = problem("A=1", line)
    assert found.startswith(f"{PATH}:3: ")
    assert words in found
    assert "\n" not in found


def test_a_long_value_is_shown_shortened() -> None:
    assert len(problem(f"CELERY_AGENT_IMPORT_TIMEOUT={'x' * 10_000}")) < 300


def test_everything_that_is_wrong_is_found_at_once() -> None:
    with pytest.raises(InvalidConfiguration) as error:
        read("CELERY_AGENT_TASK=x", "CELERY_AGENT_DEFAULTS__POOL=x", "CELERY_AGENT_DEFAULTS__PREFETCH=x")
    assert len(error.value.problems) == 3
    assert str(error.value).endswith("(`agent check` lists 2 more.)")
