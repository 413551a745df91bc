"""Configurations that can't be run, each with the line that must be said of it."""

import sys
from pathlib import Path

from tests.integration.bad_input import GOOD, TASKS, Case

THREAD = """
import threading
threading.Thread(target=threading.Event().wait, name="refresher", daemon=True).start()
"""
C_THREAD = """
import ctypes
libc = ctypes.CDLL(None)
libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None)
"""


def starts_threads(names: str) -> str:
    because = "a process that has threads can't be forked safely"
    return f"importing it starts threads ({names}), and {because}. Leave the module out."


def names(task: str, reason: str) -> str:
    return f"{{env}}:2: CELERY_AGENT_TASKS names {task!r}, but {reason}"


CASES = (
    Case(
        "no tasks",
        (),
        "{env}: CELERY_AGENT_TASKS is missing. "
        "Name the task classes to host, as package.module:Class, with commas between them; or a Celery app, by "
        "CELERY_AGENT_APP.",
    ),
    Case(
        "empty tasks",
        ("CELERY_AGENT_TASKS=",),
        "{env}:2: CELERY_AGENT_TASKS is empty. "
        "Name the task classes to host, as package.module:Class, with commas between them; or a Celery app, by "
        "CELERY_AGENT_APP.",
    ),
    Case(
        "a task that is not module:Class",
        ("CELERY_AGENT_TASKS=consumer.ActualMagicCeleryTask",),
        "{env}:2: CELERY_AGENT_TASKS names 'consumer.ActualMagicCeleryTask', which is not module:Class. "
        "Write consumer:ActualMagicCeleryTask.",
    ),
    Case(
        "a line that is none",
        (TASKS, "RABBITMQ_HOST"),
        "{env}:3: RABBITMQ_HOST has no '='. Write RABBITMQ_HOST=value, or 'RABBITMQ_HOST=' for an empty one.",
    ),
    Case(
        "a module that is not there",
        ("CELERY_AGENT_TASKS=consumr:Task",),
        names(
            "consumr:Task",
            "there is no module consumr. "
            "Put the folder that holds consumr into CELERY_AGENT_PATH, or install it for {python}.",
        ),
    ),
    Case(
        "a submodule that is not there",
        ("CELERY_AGENT_TASKS=consumer.tasks:Task",),
        names(
            "consumer.tasks:Task",
            "consumer has no module tasks ({code}/consumer.py). Correct the name, or add the module.",
        ),
    ),
    Case(
        "a module that raises",
        ("CELERY_AGENT_TASKS=broken:Task",),
        names(
            "broken:Task",
            "importing broken fails: ZeroDivisionError: division by zero ({code}/broken.py, line 2). Mend the module.",
        ),
        {"broken.py": "import os\nnumber = 1 / 0\n"},
    ),
    Case(
        "a module that is no Python",
        ("CELERY_AGENT_TASKS=broken:Task",),
        names(
            "broken:Task",
            "importing broken fails: SyntaxError: invalid syntax ({code}/broken.py, line 2). Mend the module.",
        ),
        {"broken.py": "import os\nclass = 1\n"},
    ),
    Case(
        "a module that lacks a library",
        ("CELERY_AGENT_TASKS=broken:Task",),
        names(
            "broken:Task",
            "importing broken fails: ModuleNotFoundError: No module named 'nampy' ({code}/broken.py, line 1). "
            "Install nampy for {python}.",
        ),
        {"broken.py": "import nampy.linalg\n"},
    ),
    Case(
        "a module that exits",
        ("CELERY_AGENT_TASKS=broken:Task",),
        names(
            "broken:Task",
            "importing broken fails: SystemExit: no licence ({code}/broken.py, line 2). Mend the module.",
        ),
        {"broken.py": "import sys\nsys.exit('no licence')\n"},
    ),
    Case(
        "a module that ends the process",
        ("CELERY_AGENT_TASKS=broken:Task",),
        names("broken:Task", "importing broken ended the process (exit status 3): no licence. Mend the module."),
        {"broken.py": "import os, sys\nprint('no licence', flush=True)\nos._exit(3)\n"},
    ),
    Case(
        "a module that crashes the interpreter",
        ("CELERY_AGENT_TASKS=broken:Task",),
        names("broken:Task", "importing broken ended the process (SIGSEGV). Mend the module."),
        {"broken.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"},
    ),
    Case(
        "a module that hangs",
        ("CELERY_AGENT_TASKS=broken:Task", "CELERY_AGENT_IMPORT_TIMEOUT=6"),
        names(
            "broken:Task",
            "importing broken took more than 6 s. "
            "Let the module only define its tasks, or raise CELERY_AGENT_IMPORT_TIMEOUT.",
        ),
        {"broken.py": "import time\ntime.sleep(1000)\n"},
    ),
    Case(
        "a preload that is not there",
        (TASKS, "CELERY_AGENT_PRELOAD=nampy"),
        "{env}:3: CELERY_AGENT_PRELOAD names 'nampy', but there is no module nampy. "
        "Put the folder that holds nampy into CELERY_AGENT_PATH, or install it for {python}.",
    ),
    Case(
        "a preload that starts a thread",
        (TASKS, "CELERY_AGENT_PRELOAD=threaded"),
        "{env}:3: CELERY_AGENT_PRELOAD names 'threaded', but " + starts_threads("refresher"),
        {"threaded.py": THREAD},
    ),
    Case(
        "a preload in which C code starts a thread",
        (TASKS, "CELERY_AGENT_PRELOAD=threaded"),
        "{env}:3: CELERY_AGENT_PRELOAD names 'threaded', but " + starts_threads(Path(sys.executable).name),
        {"threaded.py": C_THREAD},
    ),
    Case(
        "a preload that opens connections",
        (TASKS, "CELERY_AGENT_PRELOAD=connected"),
        "{env}:3: CELERY_AGENT_PRELOAD names 'connected', but importing it opens 2 times a connection to an unnamed "
        "socket, which the forked workers would all use at once. Open it where it is first used, or leave the module out.",
        {"connected.py": "import socket\nPAIR = socket.socketpair()\n"},
    ),
    Case(
        "settings that start a thread",
        (TASKS, "CELERY_AGENT_CELERY_CONFIG=threaded"),
        "{env}:3: CELERY_AGENT_CELERY_CONFIG is 'threaded', but " + starts_threads("refresher"),
        {"threaded.py": THREAD},
    ),
    Case(
        "a class that is not there",
        ("CELERY_AGENT_TASKS=consumer:ActualMagikCeleryTask",),
        names(
            "consumer:ActualMagikCeleryTask",
            "module consumer has no ActualMagikCeleryTask. Did you mean ActualMagicCeleryTask?",
        ),
    ),
    Case(
        "a class unlike any that is there",
        ("CELERY_AGENT_TASKS=consumer:X",),
        names("consumer:X", "module consumer has no X. It has ActualMagicCeleryTask, MagicCeleryTask."),
    ),
    Case(
        "a class where there is none",
        ("CELERY_AGENT_TASKS=empty:X",),
        names("empty:X", "module empty has no X. It has no task class at all."),
        {"empty.py": ""},
    ),
    Case(
        "a class that is no task",
        ("CELERY_AGENT_TASKS=plain:Plain",),
        names("plain:Plain", "Plain is no celery.Task. Let it inherit from its contract."),
        {"plain.py": "class Plain: pass\n"},
    ),
    Case(
        "a task without a name",
        ("CELERY_AGENT_TASKS=plain:Plain",),
        names("plain:Plain", "Plain has no name. Set `name` in its contract."),
        {"plain.py": "import celery\nclass Plain(celery.Task):\n    def run(self): pass\n"},
    ),
    Case(
        "an implementation with another queue than its contract",
        ("CELERY_AGENT_TASKS=plain:Plain",),
        names(
            "plain:Plain",
            "plain:Plain has the queue 'slow', but its contract celery_tasks.tasks:MagicCeleryTask has 'unique_magic_task': "
            "producers would send to a queue that nobody serves. Set `queue` in the contract",
        ),
        {"plain.py": GOOD.replace("ActualMagicCeleryTask", "Plain") + "    queue = 'slow'\n"},
    ),
    Case(
        "a queue that the broker does not take",
        ("CELERY_AGENT_TASKS=plain:Plain",),
        names(
            "plain:Plain", "its queue is 'amq.x', and the broker keeps names in 'amq.' for itself. Set another `queue`."
        ),
        {"plain.py": "import celery\nclass Plain(celery.Task):\n    name = 'amq.x'\n    def run(self): pass\n"},
    ),
    Case(
        "a queue whose dead letters would have too long a name",
        ("CELERY_AGENT_TASKS=plain:Plain",),
        names(
            "plain:Plain",
            f"its queue is {'x' * 251!r}, and a broker takes 1 to 250 bytes of text. Set another `queue`.",
        ),
        {"plain.py": "import celery\nclass Plain(celery.Task):\n    name = 'x' * 251\n    def run(self): pass\n"},
    ),
    Case(
        "a task that nobody wrote",
        ("CELERY_AGENT_TASKS=plain:Plain",),
        names("plain:Plain", "plain:Plain has no run: define it"),
        {"plain.py": "import celery\nclass Plain(celery.Task):\n    name = 'plain'\n"},
    ),
    Case(
        "a bare contract",
        ("CELERY_AGENT_TASKS=celery_tasks.tasks:MagicCeleryTask",),
        names(
            "celery_tasks.tasks:MagicCeleryTask",
            "celery_tasks.tasks:MagicCeleryTask is a contract without an implementation: "
            "host a subclass that defines run",
        ),
    ),
    Case(
        "an implementation that does not fit its contract",
        ("CELERY_AGENT_TASKS=misfit:Misfit",),
        names(
            "misfit:Misfit",
            "misfit:Misfit.run(arg1) does not fit its contract "
            "celery_tasks.tasks:MagicCeleryTask.run(arg1, arg2, arg3): too many positional arguments",
        ),
        {
            "misfit.py": "from celery_tasks.tasks import MagicCeleryTask\n"
            "class Misfit(MagicCeleryTask):\n    def run(self, arg1): pass\n"
        },
    ),
    Case(
        "two classes of one task name",
        ("CELERY_AGENT_TASKS=consumer:ActualMagicCeleryTask,twin:Twin",),
        "{env}:2: CELERY_AGENT_TASKS names 'consumer:ActualMagicCeleryTask' and 'twin:Twin', which are both the task "
        "'unique_magic_task'. Keep one of them, or give the other's contract another name.",
        {"twin.py": GOOD.replace("ActualMagicCeleryTask", "Twin")},
    ),
    Case(
        "an unknown setting",
        (TASKS, "CELERY_AGENT_PRELAOD=numpy"),
        "{env}:3: CELERY_AGENT_PRELAOD is no setting of the agent. Did you mean CELERY_AGENT_PRELOAD?",
    ),
    Case(
        "a number out of range",
        (TASKS, "CELERY_AGENT_QUEUES__unique_magic_task__CONCURRENCY=0"),
        "{env}:3: CELERY_AGENT_QUEUES__unique_magic_task__CONCURRENCY is '0', "
        "but must be a whole number from 1 to 1024.",
    ),
    Case(
        "a setting for a queue that is not hosted",
        (TASKS, "CELERY_AGENT_QUEUES__unique_magik_task__POOL=solo"),
        "{env}:3: CELERY_AGENT_QUEUES__unique_magik_task__POOL is for queue 'unique_magik_task', which this instance "
        "does not host. Did you mean 'unique_magic_task'?",
    ),
    Case(
        "a limit that the pool cannot enforce",
        (TASKS, "CELERY_AGENT_QUEUES__unique_magic_task__POOL=solo", "CELERY_AGENT_DEFAULTS__SOFT_TIME_LIMIT=60"),
        "{env}:4: CELERY_AGENT_DEFAULTS__SOFT_TIME_LIMIT is 60, but queue 'unique_magic_task' has POOL=solo, in which "
        "nothing can enforce it. Use POOL=prefork, "
        "or set CELERY_AGENT_QUEUES__unique_magic_task__SOFT_TIME_LIMIT to nothing.",
    ),
    Case(
        "a variable of celery_tasks that it refuses",
        (TASKS, "CELERY_TASKS_BROKER=embed"),
        "{env}:3: CELERY_TASKS_BROKER is 'embed', but must be 'embedded' or 'embedded:///absolute/folder'; "
        "unset it to use RabbitMQ",
    ),
    Case(
        "an interpreter that is not there",
        (TASKS, "CELERY_AGENT_PYTHON=/nowhere/bin/python"),
        "{env}:3: CELERY_AGENT_PYTHON is '/nowhere/bin/python', which is not there. "
        "Make the virtual environment, or name its bin/python.",
    ),
    Case(
        "an interpreter that is none",
        (TASKS, "CELERY_AGENT_PYTHON=/bin/true"),
        "{env}:3: CELERY_AGENT_PYTHON is '/bin/true', but it is no Python interpreter (exit status 0). "
        "Name the bin/python of a virtual environment.",
    ),
)
