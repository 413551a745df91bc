"""Configurations that name decorated tasks which can't be hosted, each with the line that must be said of it."""

from tests.integration.bad_apps import GOOD, LISTENS, case
from tests.integration.bad_input import TASKS

SHARED = "from celery import shared_task\n@shared_task\ndef add(a, b): return a + b\n"
MORE = """
@app.task(name="note")
def note():
    pass

@app.task(name="remind")
def remind():
    pass

app.conf.task_routes |= {"note": "mail", "remind": "mail"}
"""


def named(item: str, reason: str) -> str:
    return f"{{env}}:2: CELERY_AGENT_TASKS names {item!r}, but {reason}"


DECORATED = (
    case(
        "a decorated task that is not in its module",
        named("proj:sendd", "module proj has no sendd. It has no task class at all."),
        app="CELERY_AGENT_TASKS=proj:sendd",
    ),
    case(
        "a decorated task whose module fails",
        named("proj:send", "importing proj fails: KeyError: 'SECRET' ({code}/proj.py, line 2). Mend the module."),
        app="CELERY_AGENT_TASKS=proj:send",
        proj="import os\nos.environ['SECRET']\n",
    ),
    case(
        "a shared task of no app",
        named(
            "plain:add",
            "add is a shared task, and importing its module makes no app. Import the app in the module's package, as Celery's "
            "documentation has it, or name it in CELERY_AGENT_APP.",
        ),
        app="CELERY_AGENT_TASKS=plain:add",
        plain=SHARED,
    ),
    case(
        "a decorated task whose queue has others",
        named(
            "proj:send",
            "its queue 'mail' has other tasks of its app too: note, remind. Name all of them, or host the app, by "
            "CELERY_AGENT_APP.",
        ),
        app="CELERY_AGENT_TASKS=proj:send,proj:report",
        proj=GOOD + MORE,
    ),
    case(
        "a decorated task of which nobody can tell where it goes",
        named(
            "proj:send",
            "the route of task send can't be told without its arguments: IndexError: tuple index out of range ({code}/proj.py, "
            "line 13). Name its queues in task_queues, or with a plus in CELERY_AGENT_CONSUME.",
        ),
        app="CELERY_AGENT_TASKS=proj:send",
        proj=GOOD + "app.conf.task_routes = (lambda name, args, *more, **task: args[0],)\n",
    ),
    case(
        "a decorated task whose app fails to load",
        named("proj:send", "loading it fails: ValueError: no stock ({code}/stock.py, line 1). Mend it."),
        app="CELERY_AGENT_TASKS=proj:send",
        proj=GOOD + "app.conf.imports = ['stock']\n",
        stock="raise ValueError('no stock')\n",
    ),
    case(
        "a decorated task whose broker is not supported",
        named(
            "proj:send",
            "its broker_url begins with 'sqs', and supported are amqp://, amqps://, pyamqp://, rabbitmq://, redis://, "
            "rediss://.",
        ),
        app="CELERY_AGENT_TASKS=proj:send",
        proj=GOOD + "app.conf.broker_url = 'sqs://'\n",
    ),
    case(
        "a queue of an app and of a decorated task",
        "{env}:2: CELERY_AGENT_APP has a queue 'mail', and CELERY_AGENT_TASKS gives 'proj:send' the same one. Leave it out of "
        "CELERY_AGENT_CONSUME, or what has it out of CELERY_AGENT_TASKS.",
        "CELERY_AGENT_TASKS=proj:send",
    ),
    case(
        "a queue of a contract and of a decorated task",
        "{env}:2: CELERY_AGENT_TASKS gives queue 'unique_magic_task' to 'consumer:ActualMagicCeleryTask' and 'proj:send', "
        "which are not of one app. Give one of them another queue.",
        app=f"{TASKS},proj:send",
        proj=GOOD + "app.conf.task_routes = {'send': 'unique_magic_task', 'report': 'reports'}\n",
    ),
    case(
        "a preload of decorated tasks with a connection",
        "{env}:3: CELERY_AGENT_PRELOAD names 'proj', but importing it opens a socket at 0.0.0.0:0, which the forked workers "
        "would all use at once. Open it where it is first used, or leave the module out.",
        "CELERY_AGENT_PRELOAD=proj",
        app="CELERY_AGENT_TASKS=proj:send",
        proj=GOOD + LISTENS,
    ),
)
