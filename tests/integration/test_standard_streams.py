"""What tasks may do with sys.stdout and sys.stderr where there is no journal, and Celery leads both to its logger."""

import amqp
import pytest

from tests.node import TASKS, Node
from tests.waiting import wait_until

SAYING = """
import subprocess

class Saying(celery.Task):
    name = "saying"

    def run(self):
        for stream in (sys.stdout, sys.stderr):
            subprocess.run(["echo", "said by a program"], stdout=stream, check=True)
            stream.buffer.write(b"said in bytes\\n")
            stream.buffer.flush()
            print("said in text", file=stream)
            print("said in", 3, "bits", file=stream)
            stream.write("said without a newline")
            print(file=stream)
            print(end="", file=stream)
            assert stream.writable() and stream.encoding
        print("said at the end", end="")
"""


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_a_task_may_give_its_streams_to_programs_and_write_bytes(node: Node, pool: str) -> None:
    (node.code / "greek.py").write_text(TASKS + SAYING)
    node.configure("saying", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    assert node.send("saying") is None
    said = node.log.read_text().splitlines()
    assert (said.count("said by a program"), said.count("said in bytes")) == (2, 2)
    for text in ("said in text", "said in 3 bits", "said without a newline"):
        assert sum(line.endswith(f"] {text}") for line in said) == 2, text
    assert sum(line.endswith("] said at the end") for line in said) == 1
    assert node.queue("saying")["succeeded"] == 1


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_the_words_of_a_message_are_no_line_of_their_own_and_act_on_no_terminal(node: Node, pool: str) -> None:
    node.configure("alpha", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    words = "\nforged\r\x1b[2J\x9b2J\u202e"
    headers = {"task": "alpha", "id": words, "shadow": words}
    with node.broker.connect(node.vhost) as connection:
        channel = connection.channel()
        for kind in (words, "application/json"):
            message = amqp.Message(
                b"[[], {}, {}]", content_type=kind, content_encoding="utf-8", application_headers=headers
            )
            channel.basic_publish_confirm(message, routing_key="alpha")
    wait_until(lambda: "succeeded in" in node.log.read_text(), 60, "it has run")
    log = node.log.read_bytes().decode(errors="surrogateescape")
    assert "forged" in log
    assert not [line for line in log.split("\n") if line.startswith("forged")]
    assert not {"\r", "\x1b", "\x9b", "\u202e"} & {*log}


HALF = """
from celery import signals

@signals.celeryd_init.connect(weak=False)
def leave_the_streams(conf, **_):
    conf.worker_redirect_stdouts = {redirected}

class Half(celery.Task):
    name = "half"

    def run(self, in_bytes):
        if in_bytes:
            sys.stdout.buffer.write(b"half a line in bytes")
        else:
            sys.stdout.write("half a line")
"""


@pytest.mark.parametrize("in_bytes", [False, True], ids=["text", "bytes"])
@pytest.mark.parametrize("redirected", [True, False], ids=["redirected", "not redirected"])
@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_half_a_line_is_there_when_its_task_has_ended(node: Node, pool: str, redirected: bool, in_bytes: bool) -> None:
    (node.code / "greek.py").write_text(TASKS + HALF.format(redirected=redirected))
    node.configure("half", DEFAULTS__POOL=pool)
    node.start()
    node.wait_until_consuming()
    node.send("half", in_bytes)
    wait_until(lambda: "half a line" in node.log.read_text(), 10, "it is there, although the worker goes on")
