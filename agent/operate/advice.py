"""What the health of a queue means, and what to do about it, for people."""

from __future__ import annotations

from agent.decide.status import QueueStatus
from agent.guest.scoreboard import MORE

_ENDS = "Its log says why it ends: journalctl CELERY_QUEUE={queue} -n 50."
_RIGHT = "Give it to the user with `rabbitmqctl set_permissions`: docs/broker.md has the rights that a node needs."
_ADVICE = {
    "stuck": "Such a task keeps its place. TIME_LIMIT ends it, and with POOL=prefork it alone.",
    "hung": "Nothing is taken meanwhile. After HUNG_TIMEOUT, where that is set, the agent writes to the log what its threads "
    "do, and replaces it. Where a hand has stopped it: kill -CONT {pid}.",
    "busy": "Nothing is ended for it, since it may be meant so. TIME_LIMIT ends tasks that take too long.",
    "deaf": "Tasks wait while it lives. The agent replaces it after HUNG_TIMEOUT, where that is set; kill {pid} does at once.",
    "broker_down": "The agent kills no worker for it: each tries again by itself until the broker takes it.",
    "backoff": f"It is started again by itself. {_ENDS}",
    "quarantined": f"It is tried once a minute. {_ENDS}",
    "saturated": "Nothing is wrong with the worker: give it more CONCURRENCY, or the queue more nodes.",
}


def explained(queue: QueueStatus) -> str:
    """Return what is wrong with a queue, what that means and what to do, in one line; empty where nothing is."""
    why = (queue.trouble() or (queue.cause if queue.health in _ADVICE and queue.wanted else "")).removesuffix(MORE)
    if not why:
        return ""
    runs = "runs nothing" if queue.trouble() else f"is {queue.health}"
    advice = _ADVICE.get(queue.health, "").format(pid=queue.pid or "PID", queue=queue.queue)
    right = _RIGHT if "refuses a right" in why else ""
    return " ".join(filter(None, (f"{queue.queue} {runs}: {why.rstrip('.')}.", right, advice)))
