"""The reference of settings: what is generated from it is what is in the repository, and right."""

import re
from pathlib import Path

from agent.config.envfile import parse_env_file
from agent.config.reference import agent_entries, example, markdown, queue_entries
from agent.config.settings import QueueSettings, Settings
from agent.config.validation import read_settings

ROOT = Path(__file__).parents[2]


def test_the_documentation_of_settings_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == markdown(), "run: agent config --markdown > docs/settings.md"


def test_the_example_env_file_is_up_to_date() -> None:
    path = ROOT / "deploy" / "systemd" / "example.env"
    assert path.read_text() == example(), "run: agent config --example > deploy/systemd/example.env"


def test_the_documentation_names_exactly_the_variables_that_the_library_reads() -> None:
    variable = r"(?:RABBITMQ|CELERY_TASKS)_[A-Z_]+"
    code = "".join(path.read_text() for path in (ROOT / "celery_delivery").rglob("*.py"))
    table = "".join(line for line in markdown().splitlines(keepends=True) if re.match(rf"\| `{variable}`", line))
    named = {name for line in table.splitlines() for name in re.findall(rf"`({variable})`", line.split("|")[1])}
    assert named == set(re.findall(rf'"({variable})"', code))


def test_every_setting_is_explained() -> None:
    for entry in (*agent_entries(), *queue_entries()):
        assert len(entry.text) > 40, entry.field


def test_the_example_is_an_env_file_that_only_names_its_tasks() -> None:
    configuration = read_settings(parse_env_file(example().encode(), Path("example.env")))
    assert configuration.settings.model_fields_set == {"tasks"}


def test_the_defaults_in_the_example_are_the_defaults() -> None:
    lines = [line.removeprefix("#") for line in example().splitlines() if line.startswith("#CELERY_AGENT_DEFAULTS__")]
    text = "\n".join(["CELERY_AGENT_TASKS=a:B", *lines])
    settings = read_settings(parse_env_file(text.encode(), Path("example.env"))).settings
    assert settings == Settings(tasks=("a:B",))
    assert settings.defaults.model_fields_set == set(QueueSettings.model_fields)
