"""What Python itself reports of a worker's errors, in its log."""

import re
import subprocess
import sys

from tests.adapters.agents import ROOT

# A worker that is told to go in a finalizer; an error in another one, and in a thread.
WORKER = """
import logging, sys, threading
from celery import Celery
from agent.guest.secrets import Redactor
from agent.guest.work import output

class Told:
    def __del__(self):
        sys.exit(-15)

class Broken:
    def __del__(self):
        raise ValueError("a\\nb")

def end():
    raise KeyError("alas")

output.speak_as_worker(output.speak("magic", {}), "alpha", 1, Redactor(()))
Celery().log.setup(logging.INFO, redirect_stdouts=True)
Told()
Broken()
thread = threading.Thread(target=end, name="mine")
thread.start()
thread.join()
"""


def test_an_error_that_nobody_can_catch_is_one_message() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER], stderr=subprocess.PIPE, cwd=ROOT, text=True, check=True, timeout=60
    )
    told, broken, thread = re.split(r"\n(?! )", done.stderr.strip())
    assert re.search(r"Exception ignored in: <function Told.__del__ at \w+>: SystemExit\(-15\)$", told)
    assert re.search(r"Exception ignored in: <function Broken.__del__ at \w+>\n  Traceback ", broken)
    assert broken.endswith("ValueError: a\n  b")
    assert re.search(r"Exception in thread mine:\n  Traceback ", thread)
    assert thread.endswith("KeyError: 'alas'")
