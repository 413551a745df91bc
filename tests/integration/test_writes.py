"""A signal that comes while a worker writes: a frame to a real broker, or a job to a real pool's process."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.node import ROOT
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

SCRIPT = """
import os, signal, sys
import amqp
from celery_delivery.worker.writes import WholeWrites

class Deadlock(Exception):
    pass

def give_up(*_):
    raise Deadlock

def handle(*_):
    handled.append(True)
    channel.queue_declare("from the handler")

handled = []
signal.signal(signal.SIGALRM, give_up)
signal.signal(signal.SIGQUIT, handle)
connection = amqp.Connection(sys.argv[2])
connection.connect()
channel = connection.channel()
if sys.argv[1] == "mended":
    writes = WholeWrites(pool=None)
    writes.guard(connection)
    writes.hold_signals()
send = connection.transport._write

def send_interrupted(data):
    if not handled:
        os.kill(os.getpid(), signal.SIGQUIT)
    send(data)

connection.transport._write = send_interrupted
signal.alarm(3)
try:
    channel.queue_declare("interrupted")
    signal.alarm(0)
    print([channel.queue_declare(name, passive=True).queue for name in ("interrupted", "from the handler")], len(handled))
except Deadlock:
    print("deadlock")
"""


# SIGQUIT comes when the pool has written the length of the first job and not the job, or what fits into the pipe.
WORKER = """
import os, signal, sys
import billiard.pool
from celery_tasks.tasks import MagicCeleryTask
from celery_tasks.utils import create_worker_from

class Add(MagicCeleryTask):
    def run(self, arg1, arg2, arg3):
        return arg1 + arg2 + arg3

stock = billiard.pool._get_send_offset
sent = []

def interrupted(connection):
    send = stock(connection)

    def send_and_quit(data, offset):
        try:
            written = send(data, offset)
        except BlockingIOError:
            quit("full")
            raise
        quit("length")
        return written

    def quit(moment):
        if moment == sys.argv[3] and not sent:
            sent.append(moment)
            os.kill(os.getpid(), signal.SIGQUIT)

    return send_and_quit

billiard.pool._get_send_offset = interrupted
app, _ = create_worker_from(Add)
app.conf.update(worker_consumer=sys.argv[1], worker_pool=sys.argv[2], worker_soft_shutdown_timeout=0)
app.worker_main(["--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""
SEND = """
from celery_tasks.tasks import MagicCeleryTask
from celery_tasks.utils import create_worker_from

create_worker_from(MagicCeleryTask)[1].delay("x" * 5_000_000, "", "")
"""
MENDED = ("celery_delivery.worker.consumer:Consumer", "celery_delivery.worker.pool:TaskPool")
HALF_A_JOB = pytest.mark.parametrize("moment", ["length", "full"])
STOCK = ("celery.worker.consumer:Consumer", "prefork")


def outcome(broker: RabbitMQ, writer: str) -> str:
    command = [sys.executable, "-c", SCRIPT, writer, f"{broker.host}:{broker.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_signal_waits_until_the_frame_is_written(broker: RabbitMQ) -> None:
    assert outcome(broker, "mended") == "['interrupted', 'from the handler'] 1"


def test_stock_py_amqp_waits_for_itself(broker: RabbitMQ) -> None:
    # Once this fails, the first row of celery_delivery/worker/writes.py can go.
    assert outcome(broker, "stock") == "deadlock"


def ending(broker: RabbitMQ, vhost: str, folder: Path, moment: str, classes: tuple[str, str]) -> int | None:
    """Return the exit status of a worker that is told to go while it writes a job; None where it does not go."""
    variables = {**os.environ, **broker.variables(vhost), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", SEND], env=variables, check=True)
    log = folder / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, *classes, moment],
            env=variables,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: "terminate all running tasks" in log.read_text() or worker.poll() is not None, 60, "a shutdown"
        )
        return worker.wait(15)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


@HALF_A_JOB
def test_a_worker_goes_that_is_told_to_while_it_writes_a_job(
    broker: RabbitMQ, vhost: str, tmp_path: Path, moment: str
) -> None:
    assert ending(broker, vhost, tmp_path, moment, MENDED) is not None


@HALF_A_JOB
def test_a_stock_worker_waits_for_a_process_that_waits_for_the_rest_of_its_job(
    broker: RabbitMQ, vhost: str, tmp_path: Path, moment: str
) -> None:
    # Once this fails, the second row of celery_delivery/worker/writes.py can go.
    assert ending(broker, vhost, tmp_path, moment, STOCK) is None
