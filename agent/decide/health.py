"""How a queue fares, in one word with its cause, and what is to be done: (worker, what is seen, broker, now) -> Verdict.

    the first row that fits; state                 what is seen                                    health       remedy
    ---------------------------------------------  ----------------------------------------------  -----------  ------------
    BACKOFF, its pause is the longest there is     -                                               quarantined  (it is tried)
    BACKOFF                                        -                                               backoff      (it is tried)
    STARTING                                       -                                               starting     -
    STOPPING, STOPPED                              -                                               draining     -
    CONNECTING                                     solo, and it still runs a task                  busy         -
    CONNECTING                                     the broker refuses it, or can't be reached      broker_down  none, ever
    CONNECTING for less than CONNECTS              it is its process's first connection            starting     -
    CONNECTING                                     the broker can be reached for RETURNED          deaf         after grace
    CONNECTING                                     anything else                                   broker_down  none, ever
    CONSUMING                                      the broker can't be reached                     broker_down  none, ever
    CONSUMING                                      its process is stopped                          hung         after grace
    CONSUMING                                      a task is beyond its limit                      stuck        of its pool
    CONSUMING                                      silent for SILENCE, no solo task runs           hung         after grace
    CONSUMING                                      an obstacle                                     stuck        -
    CONSUMING                                      it consumes from nothing                        deaf         after grace
    CONSUMING for longer than SETTLED              the broker counts no consumer                   deaf         after grace
    CONSUMING                                      all slots taken, no CPU used for STILL          busy         -
    CONSUMING                                      all slots taken, more comes than goes           saturated    -
    CONSUMING                                      all slots taken                                 busy         -
    CONSUMING                                      nothing runs, and nothing waits                 idle         -
    CONSUMING                                      anything else                                   ok           -

The grace is HUNG_TIMEOUT. A task beyond its limit: Celery ends its process with prefork; with threads and solo the worker is
replaced where TIME_LIMIT is set. A worker is replaced for nothing while its broker is known to be out of reach.

One whose loop does not turn can't go by itself: its shutdown begins with the cold one. A stopped process can go, since it is
woken by what tells it to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.decide import backoff
from agent.decide.backlog import Broker
from agent.decide.events import Shutdown
from agent.decide.seen import Seen
from agent.decide.words import TROUBLES, State, Word
from agent.decide.worker_state import Worker
from agent.guest.scoreboard import IDLE_BEAT, MORE, NO_TLS, REFUSED, ActiveTask, Pulse
from agent.guest.values import dataclass

SILENCE = 2.5 * IDLE_BEAT  # seconds without a pulse after which a worker's loop counts as hung
RETURNED = 30.0  # seconds in which a worker finds a broker that is there; its pauses are 2 s, where it is refused 10 s
CONNECTS = 3.0  # seconds in which a worker connects to a broker that is there
SETTLED = 10.0  # seconds until the broker's count, which is asked for now and then, is of the present consumer
LONGEST_PAUSE = 8.0  # seconds between two looks: with a beat before it, what a worker tells is seen within 13 s
SHORTEST_PAUSE = 1.0
A_MOMENT = 0.05  # seconds after which what was due is past
STILL = 60.0  # seconds without any CPU after which it is said of tasks that take all places
OVERRUN = 2.0  # seconds that Celery may take to end a task that is beyond its limit

_WHOLE = frozenset({Word.BACKOFF, Word.QUARANTINED})  # how a worker ended may be common to many, too

_REFUSALS = {  # what RabbitMQ says when it refuses, and what that means
    "Login was refused": "the broker refuses user or password",
    "invalid credentials": "the broker refuses user or password",
    "ACCESS_REFUSED": "the broker refuses a right that the worker needs",
    "not allowed": "the broker refuses the virtual host",
    "Connection.open: (530)": "the broker refuses the virtual host",
    "PRECONDITION_FAILED": "the broker has the queue with other arguments",
    "NOT_FOUND": "the broker has not what the worker needs",
}
_UNREACHED = {
    "away": "the broker can't be reached",
    "credentials": "the broker refuses user or password",
    "rights": "the broker refuses the virtual host",
    "certificate": NO_TLS.removesuffix(": "),
    "frozen": "the broker does not answer",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word, its cause for people, and what a replacement of the worker would be for.

    cause: begins with what may be common to many queues; what is a queue's own stands after a colon. Empty where all is well.
    grace: seconds in this health after which the worker is replaced; None for never.
    suspects: the ids of the tasks that may be guilty of it.
    leaves: how gently it is told to go, where it is wanted no more.
    """

    word: Word
    cause: str = ""
    grace: float | None = None
    suspects: tuple[str, ...] = ()
    leaves: Shutdown = Shutdown.WARM

    @property
    def head(self) -> str:
        """What of its cause may be common to many queues."""
        return self.cause.removesuffix(MORE).partition(": ")[0]


@dataclass(frozen=True, slots=True)
class Health:
    """A verdict of a time `at`, and since when it has had its word, in seconds of the monotonic clock."""

    verdict: Verdict
    since: float
    at: float

    def due(self) -> float | None:
        """Return when the worker is to be replaced; None for never."""
        return None if self.verdict.grace is None else self.since + self.verdict.grace


def after(health: Health | None, verdict: Verdict, now: float) -> Health:
    """Return a queue's health after one more look: the time runs on as long as the word is the same."""
    return Health(verdict, now if health is None or health.verdict.word is not verdict.word else health.since, now)


def leaving(worker: Worker, health: Health | None, now: float) -> Shutdown:
    """Return how gently a worker is told to go that is wanted no more, by its queue's health, which may be of one before it.

    What is so for less than a beat may be past: after the whole node was stopped each worker seems to hang for a moment.
    """
    if health is None or health.at < worker.since or now - health.since < IDLE_BEAT:
        return Shutdown.WARM
    return health.verdict.leaves


def judge(worker: Worker, seen: Seen, broker: Broker, last_exit: str, now: float) -> Verdict:
    """Return how a worker's queue fares; `last_exit` says how its newest process ended, for people."""
    match worker.state:
        case State.BACKOFF:
            is_last = backoff.is_longest(worker.failures)
            why = worker.not_started or last_exit or "it could not be started"
            return Verdict(Word.QUARANTINED if is_last else Word.BACKOFF, f"its worker keeps ending: {why}")
        case State.STARTING:
            return Verdict(Word.STARTING)
        case State.STOPPING | State.STOPPED:
            return Verdict(Word.DRAINING, worker.replaced.reason if worker.replaced is not None else "")
        case State.CONNECTING:
            return _connecting(worker, seen.pulse or Pulse(now), broker, now)
        case State.CONSUMING:
            return _consuming(worker, seen, seen.pulse or Pulse(now), broker, now)


def _connecting(worker: Worker, pulse: Pulse, broker: Broker, now: float) -> Verdict:
    if worker.spec.pool == "solo" and pulse.active:
        return Verdict(Word.BUSY, "it has lost its connection, and makes another after its task")
    if pulse.obstacle.startswith((REFUSED, NO_TLS)):
        return Verdict(Word.BROKER_DOWN, _refusal(pulse.obstacle))
    if broker.reachable and now - max(worker.since, broker.since) > RETURNED:
        return Verdict(Word.DEAF, "it does not come back to a broker that can be reached", _grace(worker))
    if broker.reachable is False:
        return Verdict(Word.BROKER_DOWN, _unreached(broker))
    if now - worker.since < CONNECTS and worker.up_since == worker.since:
        return Verdict(Word.STARTING, "it connects")
    return Verdict(Word.BROKER_DOWN, "it seeks the broker" if broker.reachable else f"{_UNREACHED['away']}{MORE}")


def _consuming(worker: Worker, seen: Seen, pulse: Pulse, broker: Broker, now: float) -> Verdict:
    spec, backlog = worker.spec, seen.backlog
    running = tuple(task.id for task in pulse.active)
    if broker.reachable is False:
        return Verdict(Word.BROKER_DOWN, _unreached(broker))
    if seen.is_stopped:
        return Verdict(Word.HUNG, "its process is stopped, as by SIGSTOP", _grace(worker), running)
    if over := beyond(pulse.active, now):
        is_ours = spec.pool != "prefork" and spec.time_limit is not None
        names = ", ".join(f"{task.name}[{task.id}] of {task.limit:g} s" for task in over)
        guilty = tuple(task.id for task in over)
        return Verdict(Word.STUCK, f"a task is beyond its limit: {names}", OVERRUN if is_ours else None, guilty)
    if now - pulse.at > SILENCE and not (spec.pool == "solo" and pulse.active):
        return Verdict(Word.HUNG, "its main loop does not turn", _grace(worker), running, Shutdown.COLD)
    if pulse.obstacle:
        return Verdict(Word.STUCK, pulse.obstacle)
    if seen.pulse is not None and not pulse.queues:
        return Verdict(Word.DEAF, "it has lost its consumer", _grace(worker))
    if spec.schedule is not None:
        return Verdict(Word.OK)
    if backlog.consumers == 0 and now - worker.since > SETTLED:
        return Verdict(Word.DEAF, "the broker counts no consumer of the queue", _grace(worker))
    if pulse.active_count >= spec.concurrency:
        if pulse.still and now - pulse.still > STILL:
            return Verdict(Word.BUSY, _still(pulse, now))
        grows = (backlog.rate_in or 0.0) > (backlog.rate_out or 0.0) and backlog.waiting
        return (
            Verdict(Word.SATURATED, f"more comes than it can do: {backlog.waiting} wait")
            if grows
            else Verdict(Word.BUSY)
        )
    return Verdict(Word.IDLE if not pulse.active_count and not backlog.waiting else Word.OK)


def beyond(active: Iterable[ActiveTask], now: float) -> list[ActiveTask]:
    """Return the tasks that have run for longer than they may."""
    return [task for task in active if task.limit is not None and now - task.started > task.limit]


def common(healths: Mapping[str, Health], most: int = 3) -> str:
    """Return what is wrong, each cause once with the queues that have it: "the broker can't be reached (50 queues)"."""
    queues: dict[str, list[str]] = {}
    for queue, health in healths.items():
        if health.verdict.word in TROUBLES and health.verdict.cause:
            cause = health.verdict.cause if health.verdict.word in _WHOLE else health.verdict.head
            queues.setdefault(cause, []).append(queue)
    causes = sorted(queues, key=lambda cause: -len(queues[cause]))
    texts = [f"{cause} ({_named(queues[cause])})" for cause in causes[:most]]
    return "; ".join([*texts, *([f"{len(causes) - most} more causes"] if len(causes) > most else [])])


def next_look(pulses: Iterable[Pulse], healths: Iterable[Health], until: float, now: float) -> float:
    """Return when to look again: once a pulse would be too old, a task is beyond its limit, or a worker is to be replaced.

    until: when what the watcher said is too old, see `agent.decide.view.View`.
    Workers beat every IDLE_BEAT seconds, and more often beside tasks: so nobody looks more often than that, where all is well.
    """
    times, known = [now + LONGEST_PAUSE, until], list(healths)
    for pulse in pulses:
        times.append(pulse.at + SILENCE)
        times += [task.started + task.limit for task in pulse.active if task.limit is not None]
    times += [health.since + CONNECTS for health in known if health.verdict.word is Word.STARTING]
    times += [due for health in known if (due := health.due()) is not None]
    return max(now + SHORTEST_PAUSE, min(each for each in times if each > now) + A_MOMENT)


def _grace(worker: Worker) -> float | None:
    return worker.spec.hung_timeout


def _refusal(obstacle: str) -> str:
    if obstacle.startswith(NO_TLS):
        return obstacle
    meaning = next((text for sign, text in _REFUSALS.items() if sign in obstacle), "the broker refuses the worker")
    return f"{meaning}: {obstacle.removeprefix(REFUSED)}"


def _unreached(broker: Broker) -> str:
    head = _UNREACHED.get(broker.reason, _UNREACHED["away"])
    told = f"{head}: {broker.text}" if broker.text else head
    return told if broker.reason == "certificate" else f"{told}{MORE}"  # of a certificate the text says what to do


def _still(pulse: Pulse, now: float) -> str:
    minutes = f"{(now - pulse.still) / 60:.0f} min"
    if pulse.active_count == 1:
        return f"its task uses no CPU: it has waited for {minutes}, for something that may never come"
    return (
        f"its {pulse.active_count} tasks use no CPU: they have waited for {minutes}, for something or for one another"
    )


def _named(queues: list[str]) -> str:
    return queues[0] if len(queues) == 1 else f"{len(queues)} queues"
