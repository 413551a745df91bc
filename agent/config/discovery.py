"""The planner's side of discovery: what the importing half found in the user's interpreter, or why it found nothing."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace

from agent.config.asking import STEP_TIMEOUT, Answer, ask
from agent.decide.plan import Way
from agent.guest.spec import Source, TemplateSpec
from agent.guest.values import dataclass

OLDEST_PYTHON = (3, 11)  # the agent's own minimum: its worker side is written for it
VERSION_TIMEOUT = 10.0  # seconds that an interpreter may take to tell its version


@dataclass(frozen=True, slots=True)
class HostedTask:
    """A task class that can be hosted."""

    path: str
    name: str
    queue: str


@dataclass(frozen=True, slots=True)
class HostedQueue:
    """A queue of an app, the names of the tasks whose route leads there, and what a worker finds the app by."""

    name: str
    tasks: tuple[str, ...]
    app: str


@dataclass(frozen=True, slots=True)
class AppPool:
    """What the app's own settings say of the pool, None where nothing: the agent's settings win over both."""

    pool: str | None
    concurrency: int | None


@dataclass(frozen=True, slots=True)
class Demands:
    """What the tasks of a queue ask of its pool, in the words of `agent.guest.suitability`; whether it has dead letters."""

    queue: str
    limits: tuple[str, ...]
    threads: str
    letters: bool


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the broker of a queue waits for a task; see `agent.guest.answer.patience`. All times are seconds."""

    queue: str
    of_app: bool
    redis: bool
    seconds: float
    limit: float | None
    count: int
    late: tuple[tuple[str, float | None], ...]
    waits: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why something can't be hosted; see `agent.guest.answer.main` for what subjects there are."""

    subject: str
    item: str
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of reaching for one broker; `fault` is empty where it answered.

    of_project: whether it is that of the app, whose own settings name it.
    """

    broker: str
    fault: str
    text: str
    of_project: bool = False


@dataclass(frozen=True, slots=True)
class StoreProbe:
    """What came of leaving something in a result store; see `agent.guest.answer.store` for the faults."""

    store: str
    fault: str
    text: str
    costs: str
    of_project: bool = False


@dataclass(frozen=True, slots=True)
class Letters:
    """A queue of dead letters that has some, and how many."""

    queue: str
    count: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found in the user's interpreter; versions and broker are empty where it did not get so far."""

    python: str = ""
    celery: str = ""
    tasks: tuple[HostedTask, ...] = ()
    queues: tuple[HostedQueue, ...] = ()
    own: AppPool = AppPool(None, None)
    caveats: tuple[str, ...] = ()  # what does not hold for the app as it is, each in a line with what to do
    broker: str = ""
    embedded: bool = False
    delivery: tuple[str, ...] = ()  # what is promised less, or not at all, about the tasks
    demands: tuple[Demands, ...] = ()
    patience: tuple[Patience, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    probes: tuple[Probe, ...] = ()
    stores: tuple[StoreProbe, ...] = ()
    letters: tuple[Letters, ...] = ()
    code: tuple[Source, ...] = ()
    ways: tuple[Way, ...] = ()


def discover(
    template: TemplateSpec, tasks: Sequence[str], timeout: float, consume: Sequence[str] = (), code: int | None = None
) -> Discovery:
    """Import task classes and the app, and see whether they can be hosted.

    timeout: seconds for all imports together. code: a descriptor that the project's code is to be written to.
    """
    return discovery_of(ask(template, tasks, timeout, {}, consume, code))


def discover_and_probe(
    template: TemplateSpec,
    tasks: Sequence[str],
    timeout: float,
    consume: Sequence[str] = (),
    sends: Sequence[str] = (),
    lease: str = "",
) -> Discovery:
    """Do the same, and reach for the brokers and the result store afterwards.

    sends: names that contracts must have. lease: the queue that is the right to send the template's periodic tasks.
    """
    step = {"module": "probe", "sends": sends, "schedule": template.schedule, "lease": lease}
    answer = ask(template, tasks, timeout, step, consume)
    discovery = discovery_of(answer)
    if answer.in_time or discovery.obstacles:
        return discovery
    return replace(discovery, probes=(*discovery.probes, Probe("", "silent", f"no answer in {STEP_TIMEOUT:g} s")))


def discovery_of(answer: Answer) -> Discovery:
    """Return what an answer says of the task classes, and of the interpreter they were to be imported in."""
    obstacles = [Obstacle(**each) for each in answer.all("problem")]
    if not answer.has("done"):
        obstacles.append(_ended_early(answer) if answer.in_time else _hung(answer))
    return Discovery(
        python=answer.last("started"),
        celery=answer.last("celery"),
        tasks=tuple(HostedTask(line["task"], line["name"], line["queue"]) for line in answer.lines if "task" in line),
        queues=tuple(HostedQueue(each["name"], tuple(each["tasks"]), each["app"]) for each in answer.all("served")),
        own=AppPool(**(answer.last("own") or {"pool": None, "concurrency": None})),
        caveats=tuple(dict.fromkeys(answer.all("caveat"))),
        broker=answer.last("broker"),
        embedded=bool(answer.last("embedded")),
        delivery=answer.all("delivery"),
        demands=tuple(Demands(**{**each, "limits": tuple(each["limits"])}) for each in answer.all("demands")),
        patience=tuple(
            Patience(**{**each, "late": tuple(map(tuple, each["late"])), "waits": tuple(map(tuple, each["waits"]))})
            for each in answer.all("patience")
        ),
        obstacles=tuple(obstacles),
        probes=tuple(Probe(**each) for each in answer.all("probe")),
        stores=tuple(StoreProbe(**each) for each in answer.all("store")),
        letters=tuple(Letters(**each) for each in answer.all("letters")),
        code=tuple(Source(*each) for each in answer.last("code")),
        ways=tuple(Way(**each) for each in answer.all("way")),
    )


def _hung(answer: Answer) -> Obstacle:
    if not answer.has("started"):
        return Obstacle("python", "", f"it does not run the agent's code: no sign of life in {answer.timeout:g} s.")
    importing = answer.last("importing")
    return Obstacle(
        "import",
        importing,
        f"importing {importing} took more than {answer.timeout:g} s. Let the module only define its tasks, "
        "or raise CELERY_AGENT_IMPORT_TIMEOUT.",
        answer.printed,
    )


def _ended_early(answer: Answer) -> Obstacle:
    if answer.returncode is None:
        text = f"it can't be run: {answer.printed}. Name the bin/python of a virtual environment."
        return Obstacle("python", "", text)
    how = _words(answer.returncode)
    if answer.has("started"):
        importing = answer.last("importing")
        last = _last_line(answer.printed) if answer.returncode >= 0 else ""
        said = f": {last}" if last else ""
        text = f"importing {importing} ended the process ({how}){said}. Mend the module."
        return Obstacle("import", importing, text, answer.printed)
    version = _python_version(answer.python)
    if version is None:
        text = f"it is no Python interpreter ({how}). Name the bin/python of a virtual environment."
        return Obstacle("python", "", text, answer.printed)
    if version < OLDEST_PYTHON:
        oldest = ".".join(str(number) for number in OLDEST_PYTHON)
        found = ".".join(str(number) for number in version)
        text = f"it is Python {found}, and {oldest} is the oldest that works. Make its environment anew."
        return Obstacle("python", "", text)
    text = f"it ended before it ran the agent's code ({how}): {_last_line(answer.printed)}"
    return Obstacle("python", "", text, answer.printed)


def _words(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _python_version(python: str) -> tuple[int, ...] | None:
    program = "import sys; print(sys.version_info[0], sys.version_info[1])"
    try:
        answer = subprocess.run(
            [python, "-c", program],
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return tuple(int(number) for number in answer.stdout.split()[:2]) or None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
