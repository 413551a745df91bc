"""Which queues an instance hosts, with which settings: what the env file says of them, applied to what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from agent.config.discovery import HostedQueue, HostedTask
from agent.config.problems import InvalidConfiguration, Problem
from agent.config.settings import MOST_PREFETCHED, Pool, QueueSettings
from agent.config.validation import Configuration
from agent.config.variables import PREFIX, variable_of
from agent.guest.spec import AND, Limits, WorkerSpec
from agent.guest.suggestion import suggestion

MIB = 1_048_576
MOST_LISTED = 100  # tasks of one queue of an app: they are for people, and a project may have thousands

_PREFORK_ONLY = ("soft_time_limit", "max_tasks_per_child", "max_memory_per_child")


def workers(
    configuration: Configuration, tasks: Sequence[HostedTask], of_app: Sequence[HostedQueue] = ()
) -> tuple[WorkerSpec, ...]:
    """Return one worker per queue, sorted; raises InvalidConfiguration where settings and queues don't fit.

    of_app: the queues of apps, which are served by these.
    """
    queues: dict[str, list[str]] = {}
    for task in tasks:
        queues.setdefault(task.queue, []).append(task.path)
    twice = tuple(_given_to_both(configuration, queues, of_app))
    queues |= {each.name: list(each.tasks[:MOST_LISTED]) for each in of_app}
    apps = {each.name: each.app for each in of_app}
    hosted = [_Queue(configuration, queue, tuple(queues)) for queue in sorted(queues)]
    problems = [
        *twice,
        *_same_names(configuration, tasks),
        *_not_hosted(configuration, tuple(queues)),
        *(problem for queue in hosted for problem in queue.problems()),
    ]
    if problems:
        raise InvalidConfiguration(tuple(problems))
    return tuple(
        _spec(queue.name, tuple(queues[queue.name]), apps.get(queue.name, ""), queue.settings()) for queue in hosted
    )


def matches(written: str, queues: Sequence[str]) -> tuple[str, ...]:
    """Return the queues that a name in the env file may mean: the one spelt so, else those that differ in case only."""
    if written in queues:
        return (written,)
    return tuple(queue for queue in queues if queue.casefold() == written.casefold())


def is_set(configuration: Configuration, queue: str, field: str) -> bool:
    """Tell whether the env file gives a queue this setting, by itself or with all others."""
    settings = configuration.settings
    written = (own for name, own in settings.queues.items() if name.casefold() == queue.casefold())
    return any(field in each.model_fields_set for each in (settings.defaults, *written))


class _Queue:
    """One hosted queue and what the env file says about it."""

    def __init__(self, configuration: Configuration, name: str, hosted: Sequence[str]) -> None:
        self.name = name
        self._configuration = configuration
        self._written = [each for each in configuration.settings.queues if matches(each, hosted) == (name,)]

    def settings(self) -> QueueSettings:
        """Return the queue's settings: its own before those of every queue, before the built-in ones."""
        settings = self._configuration.settings
        values = settings.defaults.model_dump(exclude_unset=True)
        for written in self._written:
            values |= settings.queues[written].model_dump(exclude_unset=True)
        return QueueSettings(**values)

    def problems(self) -> Iterator[Problem]:
        """Yield what does not go together in the queue's settings."""
        yield from self._given_twice()
        settings = self.settings()
        if settings.pool is not Pool.PREFORK:
            yield from self._prefork_only(settings)
        if settings.pool is Pool.SOLO and settings.concurrency > 1:
            yield Problem(
                f"{self._where('concurrency')} is {settings.concurrency}, but queue {self.name!r} has POOL=solo, which "
                f"runs one task at a time. Use threads or prefork, or CONCURRENCY=1."
            )
        hard, soft = settings.time_limit, settings.soft_time_limit
        if hard is not None and soft is not None and soft >= hard:
            yield Problem(
                f"{self._where('soft_time_limit')} is {soft:g}, but TIME_LIMIT of queue {self.name!r} is {hard:g}, so "
                "the task would be killed first. Set it below."
            )
        yield from self._limits(settings)
        if settings.concurrency * settings.prefetch > MOST_PREFETCHED:
            yield Problem(
                f"{self._where('prefetch')} is {settings.prefetch}, and {settings.concurrency} times that is more than "
                f"{MOST_PREFETCHED}, the most that AMQP can say. Set a lower one for queue {self.name!r}."
            )

    def _limits(self, settings: QueueSettings) -> Iterator[Problem]:
        high, most, soft = settings.memory_high, settings.memory_max, settings.memory_soft
        if soft is not None and most is not None and soft >= most:
            yield Problem(
                f"{self._where('memory_soft')} is {soft}, but MEMORY_MAX of queue {self.name!r} is {most}, so a process would "
                "be killed first. Set it below."
            )
        if high is not None and most is not None and high >= most:
            yield Problem(
                f"{self._where('memory_high')} is {high}, but MEMORY_MAX of queue {self.name!r} is {most}, so a process "
                "would be killed first. Set it below."
            )
        needed = 1 if settings.pool is Pool.SOLO else 1 + settings.concurrency
        if settings.pids_max is not None and settings.pids_max < needed:
            yield Problem(
                f"{self._where('pids_max')} is {settings.pids_max}, but queue {self.name!r} with POOL={settings.pool} and "
                f"CONCURRENCY={settings.concurrency} has {needed} before any task starts another. Set it well above."
            )

    def _prefork_only(self, settings: QueueSettings) -> Iterator[Problem]:
        for field in _PREFORK_ONLY:
            value = getattr(settings, field)
            if value is not None:
                unenforced = f"queue {self.name!r} has POOL={settings.pool}, in which nothing can enforce it"
                nothing = f"set {variable_of(self.name, field)} to nothing"
                yield Problem(f"{self._where(field)} is {value:g}, but {unenforced}. Use POOL=prefork, or {nothing}.")

    def _given_twice(self) -> Iterator[Problem]:
        first: dict[str, str] = {}
        for assignment in self._configuration.assignments:
            if assignment.path[0] == "queues" and assignment.path[1] in self._written:
                field = assignment.path[2]
                if field in first:
                    already = f"is given for queue {self.name!r} already, by {first[field]}"
                    yield Problem(f"{assignment} {already}. Keep one of them.")
                first.setdefault(field, str(assignment))

    def _where(self, field: str) -> str:
        queues = self._configuration.settings.queues
        for written in self._written:
            if field in queues[written].model_fields_set:
                return self._configuration.where("queues", written, field)
        return self._configuration.where("defaults", field)


def _same_names(configuration: Configuration, tasks: Sequence[HostedTask]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for task in tasks:
        if task.name in first:
            yield Problem(
                f"{configuration.where('tasks')} names {first[task.name]!r} and {task.path!r}, which are both the task "
                f"{task.name!r}. Keep one of them, or give the other's contract another name."
            )
        first.setdefault(task.name, task.path)


def _given_to_both(
    configuration: Configuration, queues: Mapping[str, Sequence[str]], of_app: Sequence[HostedQueue]
) -> Iterator[Problem]:
    """Yield the queues that two have: a worker has one app."""
    app = configuration.settings.app
    by_tasks = {name: f"{paths[0]!r}" for name, paths in queues.items()}
    of_whole_app = {each.name for each in of_app if each.app == app}
    for each in of_app:
        if each.app == app:
            continue
        first = each.app.removeprefix(app + AND).partition(AND)[0]
        if each.name in by_tasks and each.name not in of_whole_app:
            yield Problem(
                f"{configuration.where('tasks')} gives queue {each.name!r} to {by_tasks[each.name]} and {first!r}, which are "
                "not of one app. Give one of them another queue."
            )
        by_tasks.setdefault(each.name, f"{first!r}")
    for name in sorted(of_whole_app & by_tasks.keys()):
        yield Problem(
            f"{configuration.where('app')} has a queue {name!r}, and {PREFIX}TASKS gives {by_tasks[name]} the same one. "
            f"Leave it out of {PREFIX}CONSUME, or what has it out of {PREFIX}TASKS."
        )


def _not_hosted(configuration: Configuration, queues: Sequence[str]) -> Iterator[Problem]:
    for written in configuration.settings.queues:
        found = matches(written, queues)
        if len(found) == 1:
            continue
        where = next(str(each) for each in configuration.assignments if each.path[:2] == ("queues", written))
        if found:
            yield Problem(f"{where} may mean {' or '.join(map(repr, found))}. Write the queue as it is spelt.")
        else:
            known = f"Its queues are {', '.join(map(repr, sorted(queues)))}."
            advice = suggestion(written, queues, shown=repr) or known
            yield Problem(f"{where} is for queue {written!r}, which this instance does not host. {advice}")


def _spec(queue: str, tasks: tuple[str, ...], app: str, settings: QueueSettings) -> WorkerSpec:
    """Return a queue's settings as a worker is started with them, each under its own name."""
    values = settings.model_dump(mode="json")
    if app and "prefetch" not in settings.model_fields_set:
        values["prefetch"] = None
    limits = {each.name: values.pop(each.name) for each in fields(Limits)}
    for name in ("memory_max", "memory_high"):
        limits[name] = None if limits[name] is None else limits[name] * MIB
    return WorkerSpec(queue=queue, tasks=tasks, **values, limits=Limits(**limits), app=app)
