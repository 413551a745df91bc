"""A signal that comes while a frame is written, whose handler writes frames too, on a real connection."""

import subprocess
import sys

from tests.node import ROOT
from tests.rabbitmq import RabbitMQ

SCRIPT = """
import os, signal, sys
import amqp
from celery_delivery.worker.frames import WholeFrames

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
    frames = WholeFrames()
    frames.guard(connection)
    frames.hold_signals()
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


def outcome(broker: RabbitMQ, writer: str) -> str:
    command = [sys.executable, "-c", SCRIPT, writer, f"{broker.host}:{broker.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_signal_waits_until_the_frame_is_written(broker: RabbitMQ) -> None:
    assert outcome(broker, "mended") == "['interrupted', 'from the handler'] 1"


def test_stock_py_amqp_waits_for_itself(broker: RabbitMQ) -> None:
    # Once this fails, celery_delivery/worker/frames.py can go.
    assert outcome(broker, "stock") == "deadlock"
