"""What a preloaded module has made before the fork: what of it workers find, and what they leave alone."""

import re

import pytest

from tests.node import TASKS, Node
from tests.truth import assert_well
from tests.waiting import wait_until

LOGS = """
import logging
logging.getLogger("shop").addHandler(logging.FileHandler({file!r}))
"""
LOGGING = """
import logging

class Logging(celery.Task):
    name = "logging"

    def run(self, number):
        logging.getLogger("shop").warning("order %s", number)
        return number
"""
OPENS = """
import os, socket
FOLDER = {folder!r}
LOG = open(FOLDER + "/log", "a")
HEADER = open(FOLDER + "/header", "a")  # not "w": the process that plans opens it too, before or after the template
HEADER.write("number\\n")  # still in the buffer when workers are forked
WORDS = os.open(FOLDER + "/words", os.O_RDONLY)
os.read(WORDS, 1)
STATISTICS = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
"""
SCOREBOARD = "/memfd:celery-agent-scoreboard (deleted)"  # two: what is mapped is kept open by its mapping
LISTING = """
def _opened():
    for name in os.listdir("/proc/self/fd"):
        try:
            yield int(name), os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # of the listing itself
            pass

OPENED = dict(_opened())  # before there is any connection to the broker

class Listing(celery.Task):
    name = "listing"

    def run(self):
        return sorted(re.sub(r"\\d+", "N", name) for name in OPENED.values())
"""
READING = """
class One(celery.Task):
    name = "one"

    def run(self):
        import opens
        return os.read(opens.WORDS, 3).decode()

class Other(One):
    name = "other"
"""
WAYS = ("atexit", "finalize", "multiprocessing", "billiard", "threading", "executor", "logging")
EXITS = """
import atexit, billiard.util, concurrent.futures, logging.handlers, multiprocessing.util, sys, threading, time, weakref

FILE = {file!r}
HELD = []

class Held:
    pass

def note(text):
    with open(FILE, "a") as file:
        file.write(text + "\\n")

def register(name):
    if sys.argv[0] == "-c":
        return  # this is the producer
    HELD.append(Held())
    atexit.register(note, name + " atexit")
    weakref.finalize(HELD[-1], note, name + " finalize")
    multiprocessing.util.Finalize(None, note, (name + " multiprocessing",), exitpriority=1)
    billiard.util.Finalize(None, note, (name + " billiard",), exitpriority=1)
    threading._register_atexit(note, name + " threading")
    logger = logging.getLogger(name)
    logger.addHandler(logging.handlers.MemoryHandler(100, target=logging.FileHandler(FILE)))
    logger.warning(name + " logging")

def submit(name):
    HELD.append(concurrent.futures.ThreadPoolExecutor())
    HELD[-1].submit(lambda: (time.sleep(0.5), note(name + " executor")))
"""
HOLDS = """
import tempfile
FOLDER = tempfile.TemporaryDirectory()
with open(FOLDER.name + "/file", "w") as file:
    file.write("kept")
"""
REGISTERING = """
import exits, holds
exits.register("worker")
celery.signals.worker_shutting_down.connect(lambda **_: exits.submit("worker"), weak=False)

class Leaving(celery.Task):
    name = "leaving"

    def run(self):
        with open(holds.FOLDER.name + "/file") as file:
            return file.read()

class Staying(Leaving):
    name = "staying"
"""


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_log_file_that_a_preload_opened_is_written_by_workers_and_nothing_else_is(node: Node, pool: str) -> None:
    file = node.code / "shop.log"
    (node.code / "logs.py").write_text(LOGS.format(file=str(file)))
    (node.code / "greek.py").write_text(TASKS + LOGGING)
    node.configure("logging", PRELOAD="logs", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    for number in range(3):
        assert node.send("logging", number) == number
    assert sorted(file.read_text().splitlines()) == ["order 0", "order 1", "order 2"]
    status = node.queue("logging")
    assert (status["consuming"], status["succeeded"], status["failed"], status["restarts"]) == (True, 3, 0, 0)
    assert_well(node)


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_worker_has_its_own_descriptors_and_those_of_preloads_and_no_others(node: Node, pool: str) -> None:
    (node.code / "words").write_text("abcdefghij")
    (node.code / "opens.py").write_text(OPENS.format(folder=str(node.code)))
    (node.code / "greek.py").write_text("import re\n" + TASKS + LISTING)
    node.configure("listing", PRELOAD="opens", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    own = ["/dev/null", str(node.log), str(node.log), "socket:[N]", *2 * [SCOREBOARD]]
    preloads = [*(f"{node.code}/{name}" for name in ("log", "header", "words")), "socket:[N]"]
    assert node.send("listing") == sorted(re.sub(r"\d+", "N", name) for name in own + preloads)


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_each_worker_reads_a_file_of_a_preload_at_its_own_pace_and_writes_no_buffer_again(
    node: Node, pool: str
) -> None:
    (node.code / "words").write_text("abcdefghij")
    (node.code / "opens.py").write_text(OPENS.format(folder=str(node.code)))
    (node.code / "greek.py").write_text(TASKS + READING)
    node.configure("one", "other", PRELOAD="opens", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    assert (node.send("one"), node.send("other")) == ("bcd", "bcd")
    assert node.stop() == 0
    assert (node.code / "header").read_text() == "number\n"


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_worker_runs_at_its_end_what_it_registered_itself_and_nothing_of_the_template(node: Node, pool: str) -> None:
    ended = node.code / "ended"
    (node.code / "exits.py").write_text(EXITS.format(file=str(ended)))
    (node.code / "holds.py").write_text("import exits\nexits.register('template')\n" + HOLDS)
    (node.code / "greek.py").write_text(TASKS + REGISTERING)
    node.configure("leaving", "staying", PRELOAD="holds", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    assert node.send("leaving") == "kept"
    node.configure("staying", PRELOAD="holds", DEFAULTS__POOL=pool)
    assert node.run("reload", node.instance).returncode == 0
    wait_until(lambda: len(node.status()["queues"]) == 1, 60, "the worker has left")
    left = ended.read_text().splitlines()
    assert left[0] == "template logging"  # before the first fork
    assert sorted(left[1:]) == sorted(f"worker {way}" for way in WAYS)
    assert node.send("staying") == "kept"
    assert_well(node)
    assert node.stop() == 0
    assert ended.read_text().count("template") == 1
