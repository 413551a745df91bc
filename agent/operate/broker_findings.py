"""What is told about brokers and result stores, once they were reached for."""

from __future__ import annotations

from agent.config.discovery import Letters, Probe, StoreProbe
from agent.guest.values import dataclass
from agent.operate.broker_faults import (
    EVICTING,
    EXPOSED,
    FRAGILE,
    LEFT,
    UNDECLARED,
    UNLIKE,
    unreachable,
    unreachable_by_app,
)
from agent.operate.findings import Finding, failure, good, warning


@dataclass(frozen=True, slots=True)
class _Words:
    """What an operator corrects: variables that `celery_tasks/` reads, or the settings of a project's own app."""

    tls: str
    queue: str
    results: str


_OF_CONTRACTS = _Words(
    "Set RABBITMQ_TLS=1; see docs/broker.md.",
    "name another `queue` in the contract, and `agent move-queue {instance} THAT --from {queue}` moves what waits in this one",
    "CELERY_TASKS_RESULTS",
)
_OF_APP = _Words(
    "Have broker_url begin with amqps:// or rediss://, and set broker_use_ssl.",
    "give it the same arguments in task_queues. With make_safe another suffix=… gives it a name of its own, and `agent "
    "move-queue {instance}` moves what waits in this one",
    "result_backend of the app",
)


def of_broker(instance: str, broker: str, embedded: bool, probe: Probe) -> Finding:
    """Return what came of reaching for a broker, which is called so for people."""
    words = _OF_APP if probe.of_project else _OF_CONTRACTS
    match probe.fault:
        case "" if embedded:
            text = f"{broker} is the embedded broker: for trying out; it can lose tasks. Unset CELERY_TASKS_BROKER."
            return warning("broker", text)
        case "":
            return good("broker", f"{broker} accepts connections")
        case f if f == EXPOSED:
            return warning(
                "broker",
                f"{broker} accepts connections, but without TLS to {probe.text}: who is on the network between reads tasks "
                f"and the password. {words.tls}",
            )
        case f if f == FRAGILE:
            return warning(
                "letters",
                f"{broker} is {probe.text}: a message with a false header x-death could stop the dead letters of all its "
                "queues, and only what reaches a worker is kept from it. RabbitMQ 4.0 has not that fault; see docs/broker.md.",
            )
        case f if f == EVICTING:
            return warning(
                "broker",
                f"{broker} forgets tasks when its memory is full: its maxmemory-policy is {probe.text}. Set it to noeviction.",
            )
        case f if f == UNDECLARED:
            return failure(
                "broker",
                f"{broker} has no queue {probe.text!r}, and CELERY_TASKS_DECLARE=0 lets nobody declare it: have the operator "
                f"import what `agent topology {instance} --definitions` prints.",
            )
        case f if f == UNLIKE:
            queue, _, reason = probe.text.partition(": ")
            other = words.queue.format(instance=instance, queue=queue)
            return failure(
                "broker",
                f"{broker} has a queue {queue!r} of another kind, and refuses ours: {reason}. Let its tasks run out, and "
                f"`rabbitmqctl delete_queue {queue}`: it is declared anew. Or {other}.",
            )
        case f if f == LEFT:
            queue, _, count = probe.text.rpartition(": ")
            return warning(
                "broker",
                f"{broker} has {count} waiting in {queue!r}, which this instance does not read since make_safe. "
                f"`agent move-queue {instance} {queue}` moves them.",
            )
    say = unreachable_by_app if probe.of_project else unreachable
    return failure("broker", say(broker, probe.fault, probe.text))


def of_letters(instance: str, letters: Letters) -> str:
    """Return the line about dead letters that nobody has looked after."""
    count = "1 dead letter" if letters.count == 1 else f"{letters.count} dead letters"
    return f"{count} in {letters.queue}: `agent dead-letters {instance}` says why, and replays or purges them."


def of_store(python: str, probe: StoreProbe) -> Finding:
    """Return what came of leaving something in a result store, by the library of an interpreter."""
    if not probe.fault:
        return good("results", f"{probe.store} takes results")
    words = _OF_APP if probe.of_project else _OF_CONTRACTS
    advice = {
        "library": f"Install what it needs for {python}, or correct {words.results}.",
        "folder": "Make the folder, or let the agent's user write to it.",
        "silent": "Is its host up, and does a firewall let this node through?",
        "refused": f"Start it, or correct {words.results}.",
    }[probe.fault]
    return failure("results", f"{probe.store} takes no results: {probe.text.rstrip('.')}. {advice} {probe.costs}.")
