"""Hosting: the settings of each queue, and settings that don't fit the queues that were found."""

from dataclasses import fields
from pathlib import Path

import pytest

from agent.config.discovery import HostedQueue, HostedTask
from agent.config.envfile import parse_env_file
from agent.config.hosting import workers
from agent.config.problems import InvalidConfiguration
from agent.config.settings import QueueSettings
from agent.config.validation import read_settings
from agent.guest.spec import Limits, WorkerSpec

PATH = Path("/etc/celery-agent/magic.env")


def host(*lines: str, queues: tuple[str, ...] = ("magic",)) -> dict[str, WorkerSpec]:
    """Return the workers by queue where each queue has one task of its name, and the env file these lines."""
    tasks = [HostedTask(f"m:T{number}", queue, queue) for number, queue in enumerate(queues)]
    text = "\n".join(["CELERY_AGENT_TASKS=" + ",".join(task.path for task in tasks), *lines])
    return {worker.queue: worker for worker in workers(read_settings(parse_env_file(text.encode(), PATH)), tasks)}


def problems(*lines: str, queues: tuple[str, ...] = ("magic",)) -> list[str]:
    with pytest.raises(InvalidConfiguration) as error:
        host(*lines, queues=queues)
    return [problem.line for problem in error.value.problems]


def test_each_queue_gets_a_worker_and_they_are_sorted() -> None:
    assert list(host(queues=("b", "a", "c"))) == ["a", "b", "c"]


def test_classes_of_one_queue_share_its_worker_in_the_order_of_the_file() -> None:
    configuration = read_settings(parse_env_file(b"CELERY_AGENT_TASKS=m:B,m:A", PATH))
    (worker,) = workers(configuration, [HostedTask("m:B", "b", "shared"), HostedTask("m:A", "a", "shared")])
    assert (worker.queue, worker.tasks) == ("shared", ("m:B", "m:A"))


def test_a_queue_s_own_setting_wins_over_that_of_every_queue_and_that_over_the_default() -> None:
    found = host(
        "CELERY_AGENT_DEFAULTS__CONCURRENCY=2",
        "CELERY_AGENT_DEFAULTS__PREFETCH=3",
        "CELERY_AGENT_QUEUES__a__CONCURRENCY=4",
        queues=("a", "b"),
    )
    assert (found["a"].concurrency, found["a"].prefetch, found["a"].pool) == (4, 3, "prefork")
    assert (found["b"].concurrency, found["b"].prefetch) == (2, 3)


def test_each_setting_of_a_queue_reaches_its_worker_under_its_own_name() -> None:
    """A new setting is written in two places: QueueSettings and WorkerSpec."""
    limits = {each.name for each in fields(Limits)}
    names = {each.name for each in fields(WorkerSpec)} - {"queue", "tasks", "app", "limits", "schedule", "watch"}
    assert set(QueueSettings.model_fields) == names | limits
    assert host("CELERY_AGENT_DEFAULTS__MAX_MEMORY_PER_CHILD=100")["magic"].max_memory_per_child == 100


def test_what_the_kernel_enforces_is_given_in_mib_and_handed_on_in_bytes() -> None:
    found = host(
        *(
            f"CELERY_AGENT_DEFAULTS__{each}"
            for each in ("MEMORY_MAX=200", "MEMORY_HIGH=100", "CPU_WEIGHT=50", "PIDS_MAX=9")
        )
    )
    assert found["magic"].limits == Limits(209_715_200, 104_857_600, 50, 9)


def test_a_queue_is_found_whatever_the_case_it_is_written_in() -> None:
    assert host("CELERY_AGENT_QUEUES__MAGIC__POOL=solo")["magic"].pool == "solo"


def test_of_queues_that_differ_in_case_the_exact_one_is_meant() -> None:
    found = host("CELERY_AGENT_QUEUES__Magic__POOL=solo", queues=("Magic", "magic"))
    assert (found["Magic"].pool, found["magic"].pool) == ("solo", "prefork")


def test_a_name_that_may_mean_two_queues_is_refused() -> None:
    (line,) = problems("CELERY_AGENT_QUEUES__MAGIC__POOL=solo", queues=("Magic", "magic"))
    assert line == (
        f"{PATH}:2: CELERY_AGENT_QUEUES__MAGIC__POOL may mean 'Magic' or 'magic'. Write the queue as it is spelt."
    )


def test_settings_of_a_queue_may_be_spread_over_spellings() -> None:
    found = host("CELERY_AGENT_QUEUES__magic__POOL=threads", 'CELERY_AGENT_QUEUES={"MAGIC": {"CONCURRENCY": 5}}')
    assert (found["magic"].pool, found["magic"].concurrency) == ("threads", 5)


def test_a_setting_given_twice_for_a_queue_is_refused() -> None:
    (line,) = problems("CELERY_AGENT_QUEUES__magic__POOL=solo", 'CELERY_AGENT_QUEUES={"magic": {"POOL": "threads"}}')
    assert line.startswith(
        f"{PATH}:3: CELERY_AGENT_QUEUES[\"magic\"].POOL is given for queue 'magic' already, by {PATH}:2"
    )


def test_a_setting_of_a_queue_that_is_not_hosted_is_refused_and_a_similar_one_named() -> None:
    (line,) = problems("CELERY_AGENT_QUEUES__MAGIK__POOL=solo")
    assert line == (
        f"{PATH}:2: CELERY_AGENT_QUEUES__MAGIK__POOL is for queue 'MAGIK', which this instance does not host. "
        "Did you mean 'magic'?"
    )


def test_a_setting_of_a_queue_unlike_any_other_is_answered_with_all_of_them() -> None:
    (line,) = problems("CELERY_AGENT_QUEUES__other__POOL=solo", queues=("b", "a"))
    assert line.endswith("Its queues are 'a', 'b'.")


def test_two_classes_of_one_task_name_are_refused() -> None:
    configuration = read_settings(parse_env_file(b"CELERY_AGENT_TASKS=m:A,m:B", PATH))
    with pytest.raises(
        InvalidConfiguration, match=r"magic.env:1: .* names 'm:A' and 'm:B', which are both the task 'x'"
    ):
        workers(configuration, [HostedTask("m:A", "x", "x"), HostedTask("m:B", "x", "y")])


@pytest.mark.parametrize("setting", ["SOFT_TIME_LIMIT", "MAX_TASKS_PER_CHILD", "MAX_MEMORY_PER_CHILD"])
@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_limit_that_a_pool_cannot_enforce_is_refused(setting: str, pool: str) -> None:
    (line,) = problems(f"CELERY_AGENT_DEFAULTS__{setting}=60", f"CELERY_AGENT_QUEUES__magic__POOL={pool}")
    assert line == (
        f"{PATH}:2: CELERY_AGENT_DEFAULTS__{setting} is 60, but queue 'magic' has POOL={pool}, in which nothing can "
        f"enforce it. Use POOL=prefork, or set CELERY_AGENT_QUEUES__magic__{setting} to nothing."
    )


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_time_limit_is_for_each_pool(pool: str) -> None:
    found = host("CELERY_AGENT_DEFAULTS__TIME_LIMIT=60", f"CELERY_AGENT_DEFAULTS__POOL={pool}", queues=("a",))
    assert found["a"].time_limit == 60


def test_a_queue_can_be_excepted_from_a_limit_by_an_empty_value() -> None:
    found = host(
        "CELERY_AGENT_DEFAULTS__TIME_LIMIT=60",
        "CELERY_AGENT_QUEUES__a__POOL=solo",
        "CELERY_AGENT_QUEUES__a__TIME_LIMIT=",
        queues=("a", "b"),
    )
    assert (found["a"].time_limit, found["b"].time_limit) == (None, 60)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ["DEFAULTS__POOL=solo", "DEFAULTS__CONCURRENCY=2"],
            "DEFAULTS__CONCURRENCY is 2, but queue 'magic' has POOL=solo",
        ),
        (["DEFAULTS__TIME_LIMIT=60", "DEFAULTS__SOFT_TIME_LIMIT=60"], "is 60, but TIME_LIMIT of queue 'magic' is 60"),
        (["DEFAULTS__MEMORY_MAX=64", "DEFAULTS__MEMORY_HIGH=64"], "is 64, but MEMORY_MAX of queue 'magic' is 64"),
        (["DEFAULTS__MEMORY_MAX=64", "DEFAULTS__MEMORY_SOFT=64"], "is 64, but MEMORY_MAX of queue 'magic' is 64"),
        (["DEFAULTS__CONCURRENCY=4", "DEFAULTS__PIDS_MAX=4"], "and CONCURRENCY=4 has 5 before any task starts another"),
        (["DEFAULTS__CONCURRENCY=100", "DEFAULTS__PREFETCH=1000"], "more than 65535, the most that AMQP can say"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(lines: list[str], words: str) -> None:
    (line,) = problems(*(f"CELERY_AGENT_{each}" for each in lines))
    assert line.startswith(f"{PATH}:3: CELERY_AGENT_DEFAULTS__")
    assert words in line


def test_a_queue_of_an_app_is_served_by_it_and_lists_the_first_of_its_tasks() -> None:
    configuration = read_settings(parse_env_file(b"CELERY_AGENT_APP=proj\nCELERY_AGENT_QUEUES__mail__PREFETCH=8", PATH))
    many = tuple(f"task{number:04}" for number in range(5000))
    found = {each.name: each for each in (HostedQueue("mail", ("send",), "proj"), HostedQueue("celery", many, "proj"))}
    specs = {worker.queue: worker for worker in workers(configuration, (), tuple(found.values()))}
    assert (specs["mail"].app, specs["mail"].tasks, specs["mail"].prefetch) == ("proj", ("send",), 8)
    assert (specs["celery"].tasks, specs["celery"].prefetch) == (many[:100], None)


def test_a_queue_of_both_kinds_is_refused() -> None:
    configuration = read_settings(parse_env_file(b"CELERY_AGENT_APP=proj\nCELERY_AGENT_TASKS=m:A", PATH))
    with pytest.raises(
        InvalidConfiguration, match=r"CELERY_AGENT_APP has a queue 'a', and CELERY_AGENT_TASKS gives 'm:A'"
    ):
        workers(configuration, [HostedTask("m:A", "a", "a")], [HostedQueue("a", (), "proj")])
