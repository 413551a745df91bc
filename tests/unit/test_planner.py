"""The planner's pure half: the environment of user code, and the lines for what discovery met."""

from pathlib import Path

import pytest

from agent.config.discovery import Discovery, HostedTask, Obstacle
from agent.config.envfile import parse_env_file
from agent.config.planner import plan_of, problems_of, task_environment, template_of
from agent.config.problems import InvalidConfiguration
from agent.config.validation import Configuration, read_settings
from agent.decide.plan import decode_plan, encode_plan
from agent.errors import ConfigurationError

PATH = Path("/etc/celery-agent/magic.env")


def configured(*lines: str) -> Configuration:
    return read_settings(parse_env_file("\n".join(["CELERY_AGENT_TASKS=m:A", *lines]).encode(), PATH))


def line(obstacle: Obstacle, *lines: str) -> str:
    """Return what is said of an obstacle where the env file has these lines."""
    configuration = configured(*lines)
    (problem,) = problems_of(configuration, template_of(configuration, {}), [obstacle])
    return problem.line


def test_user_code_inherits_the_agent_s_environment_and_the_env_file_wins() -> None:
    file = configured("A=file", "B=file").file
    assert task_environment(file, {"A": "agent", "C": "agent"}) == (("A", "file"), ("B", "file"), ("C", "agent"))


@pytest.mark.parametrize(
    "name", ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "CELERY_AGENT_CONFIG_DIR"]
)
def test_user_code_does_not_inherit_what_is_private_to_the_agent(name: str) -> None:
    assert task_environment(configured().file, {name: "x"}) == ()


def test_settings_of_the_agent_are_not_handed_on() -> None:
    assert task_environment(configured("CELERY_AGENT_PRELOAD=json").file, {}) == ()


def test_the_template_has_all_that_user_code_is_run_with(tmp_path: Path) -> None:
    configuration = configured(f"CELERY_AGENT_PATH={tmp_path}", "CELERY_AGENT_PRELOAD=json,csv", "A=1")
    template = template_of(configuration, {"B": "2"})
    assert (template.path, template.preload) == ((str(tmp_path),), ("json", "csv"))
    assert (template.python, template.environment) == (configuration.settings.python, (("A", "1"), ("B", "2")))


def test_a_plan_survives_the_way_to_the_daemon() -> None:
    configuration = configured("CELERY_AGENT_DEFAULTS__CONCURRENCY=3")
    found = Discovery(tasks=(HostedTask("m:A", "a", "a"),), broker="amqp://me:**@host//")
    plan = plan_of("magic", configuration, template_of(configuration, {"A": "1"}), found)
    assert (plan.instance, plan.broker, plan.embedded) == ("magic", "amqp://me:**@host//", False)
    assert [(worker.queue, worker.concurrency) for worker in plan.workers] == [("a", 3)]
    assert decode_plan(encode_plan(plan)) == plan


def test_no_plan_is_made_around_an_obstacle() -> None:
    configuration = configured()
    found = Discovery(tasks=(HostedTask("m:A", "a", "a"),), obstacles=(Obstacle("tasks", "m:B", "it is not there."),))
    with pytest.raises(InvalidConfiguration, match="m:B"):
        plan_of("magic", configuration, template_of(configuration, {}), found)


def test_no_plan_is_made_for_what_is_no_instance_name() -> None:
    configuration = configured()
    found = Discovery(tasks=(HostedTask("m:A", "a", "a"),))
    with pytest.raises(ConfigurationError, match="is no instance name"):
        plan_of("../magic", configuration, template_of(configuration, {}), found)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("m", f"{PATH}:1: CELERY_AGENT_TASKS names 'm:A', but it hangs."),
        ("numpy", f"{PATH}:2: CELERY_AGENT_PRELOAD names 'numpy', but it hangs."),
        (
            "celery_tasks.celery_config",
            f"{PATH}: CELERY_AGENT_CELERY_CONFIG is 'celery_tasks.celery_config', but it hangs.",
        ),
        ("celery", f"{PATH}:3: CELERY_AGENT_PYTHON is '/bin/true', but it hangs."),
    ],
)
def test_an_import_that_hangs_is_blamed_on_the_setting_that_names_the_module(module: str, said: str) -> None:
    lines = ("CELERY_AGENT_PRELOAD=numpy", "CELERY_AGENT_PYTHON=/bin/true")
    assert line(Obstacle("import", module, "it hangs."), *lines) == said


def test_a_variable_that_celery_tasks_refuses_is_found_in_the_file() -> None:
    lines = ("RABBITMQ_PORT=x", "RABBITMQ_PORT_TLS=y")
    assert line(Obstacle("variable", "", "RABBITMQ_PORT_TLS is 'y'."), *lines) == f"{PATH}:3: RABBITMQ_PORT_TLS is 'y'."


def test_a_variable_that_comes_from_elsewhere_has_the_file_for_its_place() -> None:
    assert line(Obstacle("variable", "", "RABBITMQ_PORT is 'x'.")) == f"{PATH}: RABBITMQ_PORT is 'x'."


def test_a_text_of_several_lines_becomes_one() -> None:
    assert line(Obstacle("tasks", "m:A", "one\n  two")).endswith("but one two")


def test_secrets_are_masked_in_line_and_detail() -> None:
    configuration = configured("RABBITMQ_PWD=hunter2")
    obstacle = Obstacle("tasks", "m:A", "no login with hunter2", "Traceback\nhunter2")
    (problem,) = problems_of(configuration, template_of(configuration, {}), [obstacle])
    assert "hunter2" not in problem.line + problem.detail
