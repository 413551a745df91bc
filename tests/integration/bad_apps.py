"""Configurations whose app can't be hosted, each with the line that must be said of it."""

from tests.integration.bad_input import TASKS, Case

APP = "CELERY_AGENT_APP=proj:app"
GOOD = """
from celery import Celery
app = Celery("proj", broker="amqp://guest@localhost//")
app.conf.task_routes = {"send": "mail", "report": "reports"}

@app.task(name="send")
def send():
    pass

@app.task(name="report")
def report():
    pass
"""
LISTENS = """
import socket
connection = socket.socket()
"""
DJANGO = """
from celery import Celery
app = Celery("proj")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""


def case(name: str, line: str, *lines: str, app: str = APP, **modules: str) -> Case:
    """Return a case whose env file names an app, and has lines besides."""
    sources = {f"{module}.py": source for module, source in {"proj": GOOD, **modules}.items()}
    return Case(name, (app, *lines), line, sources)


def names(app: str, reason: str) -> str:
    return f"{{env}}:2: CELERY_AGENT_APP names {app!r}, but {reason}"


APPS = (
    case(
        "an app that is written wrongly",
        "{env}:2: CELERY_AGENT_APP is 'proj/app.py', which names no app. Write package.module:app, as for celery -A.",
        app="CELERY_AGENT_APP=proj/app.py",
    ),
    case(
        "an app's module that is not there",
        names(
            "prj:app",
            "there is no module prj. Put the folder that holds prj into CELERY_AGENT_PATH, or install it for {python}.",
        ),
        app="CELERY_AGENT_APP=prj:app",
    ),
    case(
        "an app that is not in its module",
        names("proj:ap", "there is no app. Did you mean 'app'?"),
        app="CELERY_AGENT_APP=proj:ap",
    ),
    case(
        "a module without an app",
        names("proj", "there is no app. Module proj has none: name the one that `celery -A` is given."),
        app="CELERY_AGENT_APP=proj",
        proj="x = 1\n",
    ),
    case(
        "something else than an app",
        names("proj:send", "that is a send, and no Celery app. Module proj has app."),
        app="CELERY_AGENT_APP=proj:send",
    ),
    case(
        "an app's module that fails",
        names("proj:app", "importing proj fails: KeyError: 'SECRET' ({code}/proj.py, line 2). Mend the module."),
        proj="import os\nos.environ['SECRET']\n",
    ),
    case(
        "an app that fails to load",
        names("proj:app", "loading it fails: ValueError: no stock ({code}/stock.py, line 1). Mend it."),
        proj=GOOD + "app.conf.imports = ['stock']\n",
        stock="raise ValueError('no stock')\n",
    ),
    case(
        "an app whose settings are not there",
        names(
            "proj:app", "it needs a module settigns, and there is none. Correct the name, or install it for {python}."
        ),
        proj=GOOD + "app.config_from_object('settigns')\n",
    ),
    case(
        "Django's settings that are not there",
        "{env}:3: DJANGO_SETTINGS_MODULE is 'shop.settings', but there is no module shop. Correct it, or CELERY_AGENT_PATH.",
        "DJANGO_SETTINGS_MODULE=shop.settings",
        proj=DJANGO,
    ),
    case(
        "a broker of a kind that is not supported",
        names(
            "proj:app",
            "its broker_url begins with 'sqs', and supported are amqp://, amqps://, pyamqp://, rabbitmq://, redis://, "
            "rediss://.",
        ),
        proj=GOOD + "app.conf.broker_url = 'sqs://'\n",
    ),
    case(
        "a queue that nothing leads to",
        "{env}:3: CELERY_AGENT_CONSUME names 'mial', but neither task_queues nor a route of proj:app has it. "
        "Did you mean 'mail'? If tasks are sent there by name only: +mial",
        "CELERY_AGENT_CONSUME=mial,reports",
    ),
    case(
        "a queue that may not be made",
        "{env}:3: CELERY_AGENT_CONSUME names '+adhoc', but proj:app has task_create_missing_queues=False, and no such queue "
        "in its task_queues. Add it there.",
        "CELERY_AGENT_CONSUME=+adhoc",
        proj=GOOD
        + "app.conf.task_create_missing_queues = False\napp.conf.task_queues = []\napp.conf.task_routes = {}\n",
    ),
    case(
        "queues of no app",
        "{env}:3: CELERY_AGENT_CONSUME names queues of an app, but CELERY_AGENT_APP names none. Set it.",
        "CELERY_AGENT_CONSUME=mail",
        app=TASKS,
    ),
    case(
        "a queue of both kinds",
        "{env}:2: CELERY_AGENT_APP has a queue 'unique_magic_task', and CELERY_AGENT_TASKS gives "
        "'consumer:ActualMagicCeleryTask' the same one. Leave it out of CELERY_AGENT_CONSUME, or what has it out of "
        "CELERY_AGENT_TASKS.",
        TASKS,
        proj=GOOD + "app.conf.task_default_queue = 'unique_magic_task'\n",
    ),
    case(
        "a setting for a queue that the app has not",
        "{env}:3: CELERY_AGENT_QUEUES__report__POOL is for queue 'report', which this instance does not host. "
        "Did you mean 'reports'?",
        "CELERY_AGENT_QUEUES__report__POOL=solo",
    ),
    case(
        "an app that is preloaded with threads of a task module",
        "{env}:3: CELERY_AGENT_PRELOAD names 'proj', but importing it starts threads (refresher), and a process that has "
        "threads can't be forked safely. Leave the module out. It is done by stock.",
        "CELERY_AGENT_PRELOAD=proj",
        proj=GOOD + "app.conf.imports = ['stock']\n",
        stock="import threading\n"
        "threading.Thread(target=threading.Event().wait, name='refresher', daemon=True).start()\n",
    ),
    case(
        "an app that is preloaded with a connection of a task module",
        "{env}:3: CELERY_AGENT_PRELOAD names 'proj', but importing it opens a socket at 0.0.0.0:0, which the forked "
        "workers would all use at once. Open it where it is first used, or leave the module out. It is done by prices.",
        "CELERY_AGENT_PRELOAD=proj",
        proj=GOOD + "app.conf.imports = ['stock']\n",
        stock="import prices\n",
        prices=LISTENS,
    ),
)
