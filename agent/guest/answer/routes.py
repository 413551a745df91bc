"""Where an app's own routing sends its tasks, as far as that can be told without their arguments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery.app.task import extract_exec_options
from celery.exceptions import QueueNotFound

from ..values import dataclass
from .importing import last_line

OWN = "celery."  # what the names of Celery's own tasks begin with; they go where the app sends what has no route


@dataclass(frozen=True, slots=True)
class Routing:
    """The names of tasks by the queue that they go to, and by its name a line for each task of which that can't be told."""

    queues: dict[str, list[str]]
    untold: dict[str, str]


def routing(app: Any) -> Routing:
    """Return the queues of an app: those that it declares, its default queue, and each that a task is routed to."""
    found = Routing({name_of(queue): [] for queue in app.amqp.queues.consume_from.values()}, {})
    try:
        found.queues.setdefault(name_of(app.amqp.queues[app.conf.task_default_queue]), [])
    except KeyError:  # it is not among task_queues, and no others may be made
        pass
    for name, task in sorted(app.tasks.items()):
        if name.startswith(OWN):
            continue
        try:
            queues = list(_destinations(app, task))
            for queue in queues:
                found.queues.setdefault(queue, []).append(name)
            if not queues:
                found.untold[name] = (
                    f"the route of task {name} leads to an exchange and a routing key to which no queue of the app is bound: "
                    "nobody gets it. Name a `queue` in the route, or bind one in task_queues."
                )
        except QueueNotFound as error:
            found.untold[name] = f"task {name} can't be sent: {error.args[0]}. Add it there, or correct the route."
        except Exception as error:  # a router is user code
            found.untold[name] = (
                f"the route of task {name} can't be told without its arguments: {last_line(error)}. "
                "Name its queues in task_queues, or with a plus in CELERY_AGENT_CONSUME."
            )
    return found


def name_of(queue: Any) -> str:
    """Return what an operator calls a queue: a broadcast queue has another name in each process."""
    return str(queue.alias or queue.name)


def _destinations(app: Any, task: Any) -> Iterator[str]:
    """Yield the queues that a task goes to when it is sent without options."""
    options = app.amqp.router.route(extract_exec_options(task), task.name, (), {}, task_type=task)
    queue = options.get("queue")
    if queue is not None:
        yield name_of(app.amqp.queues[queue] if isinstance(queue, str) else queue)
        return
    default = app.amqp.queues[app.conf.task_default_queue]
    exchange, key = options.get("exchange") or default.exchange, options.get("routing_key") or default.routing_key
    exchange = getattr(exchange, "name", exchange)
    for each in app.amqp.queues.values():
        for binding in each.bindings or (each,):
            if binding.exchange.name == exchange and _matches(binding.exchange.type, binding.routing_key, key):
                yield name_of(each)
                break


def _matches(kind: str, pattern: str, key: str) -> bool:
    """Tell whether a binding lets a message through, as AMQP has it; a headers exchange's may or may not."""
    if kind == "topic":
        return _fits(pattern.split("."), key.split("."))
    return kind != "direct" or pattern == key


def _fits(pattern: list[str], words: list[str]) -> bool:
    """Tell whether words fit a topic's pattern: `*` is one word, `#` any number of them."""
    if not pattern:
        return not words
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(_fits(rest, words[number:]) for number in range(len(words) + 1))
    return bool(words) and first in ("*", words[0]) and _fits(rest, words[1:])
