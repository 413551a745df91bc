"""Discovery: task classes are found in the user's interpreter, and nothing of user code outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.config.discovery import Discovery, HostedTask, discover, discover_and_probe
from agent.guest.spec import TemplateSpec
from tests.environment import environment_with_celery
from tests.integration.bad_input import GOOD
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def template(tmp_path: Path) -> TemplateSpec:
    """Run the tests' own interpreter on the modules of a temporary folder, with the embedded broker."""
    (tmp_path / "code").mkdir()
    broker = ("CELERY_TASKS_BROKER", f"embedded://{tmp_path}/broker")
    return TemplateSpec(
        python=sys.executable,
        path=(str(tmp_path / "code"),),
        environment=(*(item for item in os.environ.items()), broker),
    )


def write(template: TemplateSpec, **modules: str) -> None:
    for name, source in modules.items():
        (Path(template.path[0]) / f"{name}.py").write_text(source)


def found(template: TemplateSpec, *tasks: str) -> Discovery:
    discovery = discover(template, tasks, 30)
    assert discovery.obstacles == ()
    return discovery


def test_a_task_class_is_found_with_its_name_and_queue(template: TemplateSpec) -> None:
    write(template, consumer=GOOD)
    discovery = found(template, "consumer:ActualMagicCeleryTask")
    name = "unique_magic_task"
    assert discovery.tasks == (HostedTask("consumer:ActualMagicCeleryTask", name, name),)
    assert discovery.python == ".".join(map(str, sys.version_info[:3]))
    assert discovery.celery.startswith("5.")


def test_an_interpreter_without_time_zones_is_found_before_its_workers_end(template: TemplateSpec) -> None:
    write(template, consumer=GOOD)
    without = replace(template, environment=(*template.environment, ("PYTHONTZPATH", "")))
    (obstacle,) = discover(without, ("consumer:ActualMagicCeleryTask",), 30).obstacles
    assert (obstacle.subject, obstacle.text.partition(":")[2]) == ("python", " apt-get install tzdata")


def test_a_class_s_own_queue_is_taken(template: TemplateSpec) -> None:
    plain = "import celery\nclass Plain(celery.Task):\n    name, queue = 'plain', 'shared'\n    def run(self): pass\n"
    write(template, plain=plain)
    (task,) = found(template, "plain:Plain").tasks
    assert (task.name, task.queue) == ("plain", "shared")


def test_a_task_class_without_a_contract_is_its_own(template: TemplateSpec) -> None:
    write(template, plain="import celery\nclass Plain(celery.Task):\n    name = 'plain'\n    def run(self): pass\n")
    assert [task.queue for task in found(template, "plain:Plain").tasks] == ["plain"]


def test_the_broker_is_shown_without_its_password(template: TemplateSpec) -> None:
    write(template, consumer=GOOD)
    variables = {"RABBITMQ_HOST": "broker.invalid", "RABBITMQ_USER": "me", "RABBITMQ_PWD": "hunter2"}
    environment = {**dict(template.environment), **variables, "CELERY_TASKS_BROKER": ""}
    discovery = found(replace(template, environment=tuple(environment.items())), "consumer:ActualMagicCeleryTask")
    assert discovery.broker == "rabbitmq://me:**@broker.invalid:5672//"
    assert not discovery.embedded


def test_the_embedded_broker_is_shown_as_its_variable_names_it(template: TemplateSpec, tmp_path: Path) -> None:
    write(template, consumer=GOOD)
    discovery = found(template, "consumer:ActualMagicCeleryTask")
    assert (discovery.broker, discovery.embedded) == (f"embedded://{tmp_path}/broker", True)


def test_the_broker_is_reached_for_only_when_that_is_wanted(template: TemplateSpec) -> None:
    write(template, consumer=GOOD)
    assert discover(template, ["consumer:ActualMagicCeleryTask"], 30).probes == ()
    (probe,) = discover_and_probe(template, ["consumer:ActualMagicCeleryTask"], 30).probes
    assert probe.fault == ""


def test_user_code_sees_the_environment_it_is_given_and_no_other(template: TemplateSpec) -> None:
    write(template, consumer=GOOD + "import os\nassert os.environ['A'] == '1' and 'HOME' not in os.environ\n")
    environment = (("A", "1"), ("CELERY_TASKS_BROKER", dict(template.environment)["CELERY_TASKS_BROKER"]))
    found(replace(template, environment=environment), "consumer:ActualMagicCeleryTask")


def test_the_user_s_environment_holds_nothing_of_the_agent_s(template: TemplateSpec, tmp_path: Path) -> None:
    """A virtual environment with Celery alone, and a consumer whose own package is called `agent`."""
    python = str(environment_with_celery(tmp_path / "venv"))
    code = Path(template.path[0])
    (code / "celery_tasks").symlink_to(ROOT / "celery_tasks")
    (code / "agent").mkdir()
    (code / "agent" / "__init__.py").write_text("mine = True\n")
    check = "import agent, importlib.util\nassert agent.mine and importlib.util.find_spec('pydantic') is None\n"
    write(template, consumer=GOOD + check)
    assert found(replace(template, python=python), "consumer:ActualMagicCeleryTask").tasks


def test_a_module_that_fails_does_not_hide_the_others(template: TemplateSpec) -> None:
    write(template, consumer=GOOD, broken="1 / 0\n")
    discovery = discover(template, ["broken:A", "consumer:ActualMagicCeleryTask", "broken:B"], 30)
    assert [obstacle.item for obstacle in discovery.obstacles] == ["broken:A", "broken:B"]
    assert [task.path for task in discovery.tasks] == ["consumer:ActualMagicCeleryTask"]


def test_what_user_code_printed_before_it_hung_is_kept(template: TemplateSpec) -> None:
    write(template, slow="import time\nprint('asking the licence server', flush=True)\ntime.sleep(1000)\n")
    (obstacle,) = discover(template, ["slow:A"], 6).obstacles
    assert (obstacle.subject, obstacle.item) == ("import", "slow")
    assert "asking the licence server" in obstacle.detail


def test_discovery_ends_with_the_process_that_wanted_it(template: TemplateSpec, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    write(template, slow=f"import os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(1000)\n")
    (tmp_path / "magic.env").write_text(f"CELERY_AGENT_PATH={template.path[0]}\nCELERY_AGENT_TASKS=slow:A\n")
    planner = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "agent.config.planner",
            "--instance",
            "magic",
            "--env-file",
            str(tmp_path / "magic.env"),
        ],
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: note.exists() and note.read_text(), what="the module is being imported")
    planner.send_signal(signal.SIGKILL)
    planner.wait()
    pid = int(note.read_text())
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
