"""A small message that becomes a large one: a dead letter, on a worker that goes on with the others."""

import bz2
import json
import lzma
import zlib
from collections.abc import Callable
from functools import partial

import amqp
import pytest

from celery_delivery.broker.bodies import LARGEST
from tests.integration.dead_letters import letters, task, waiting
from tests.node import Node
from tests.waiting import wait_until

POOLS = {"alpha": "solo", "beta": "threads", "gamma": "prefork"}
GOOD = 20  # messages before and behind
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def odd(queue: str, name: str, body: bytes, **options: str) -> amqp.Message:
    """Return a task whose body is another; `options` are properties, and the header `compression`."""
    message = task(queue, id=name)
    message.body = body
    message.properties["application_headers"] |= {"compression": options.pop("compression", None)}
    message.properties |= options
    return message


@pytest.fixture(scope="module")
def hostile() -> Callable[[str], dict[str, amqp.Message]]:
    plain = json.dumps([["return", "x"], {}, EMBED]).encode().replace(b'"x"', b'"' + b"x" * LARGEST + b'"')
    bodies = {"bzip2": bz2.compress(plain), "gzip": zlib.compress(plain), "xz": lzma.compress(plain, preset=0)}
    values = zlib.compress(b"[[[" + b"[]," * 8_000_000 + b"0]],{},{}]")
    text = {"content_type": "application/text"}

    def messages(queue: str) -> dict[str, amqp.Message]:
        return {
            **{name: odd(queue, name, body, compression=name) for name, body in bodies.items()},
            "values": odd(queue, "values", values, compression="gzip"),
            "cut off": odd(queue, "cut off", zlib.compress(b"[]")[:-5], compression="gzip"),
            "bytes": odd(queue, "bytes", bodies["bzip2"], content_encoding="bz2", **text),
            # Some 15 minutes for who decodes it.
            "slow": odd(queue, "slow", b"-" + b"kva" * 800_000, content_encoding="punycode", **text),
        }

    return messages


@pytest.mark.parametrize("prefetch", ["1", "10"])
def test_what_becomes_too_large_is_a_dead_letter_and_nothing_else_is_touched(
    node: Node, hostile: Callable[[str], dict[str, amqp.Message]], prefetch: str
) -> None:
    pools = {f"QUEUES__{queue}__POOL": pool for queue, pool in POOLS.items()}
    node.configure(*POOLS, **pools, DEFAULTS__PREFETCH=prefetch)
    node.start()
    node.wait_until_consuming()
    pids = node.pids()
    for queue in POOLS:
        with node.broker.connect(node.vhost) as connection:
            channel = connection.channel()
            channel.confirm_select()
            good = [task(queue) for _ in range(GOOD)]
            for message in (*good, *hostile(queue).values(), *good):
                channel.basic_publish_confirm(message, queue, queue)
    for queue in POOLS:
        expected = hostile(queue)
        wait_until(partial(has_dead, node, queue, len(expected)), 120, f"{queue}: all are dead")
        node.wait_for(queue, lambda of: of["succeeded"] == 2 * GOOD, "has done the others")
        seen = node.queue(queue)
        assert seen["failed"] == seen["set_aside"] == len(expected)
        found = {each["id"]: each["reason"] for each in letters(node, "--queue", queue)}
        assert found == dict.fromkeys(expected, "undecodable")
    assert node.pids() == pids
    said = node.log.read_text()
    assert said.count("its body has more than 64 MiB") == 3 * len(POOLS)
    assert said.count("its values would take more than 512 MiB") == len(POOLS)


def has_dead(node: Node, queue: str, count: int) -> bool:
    return waiting(node, f"{queue}.dead") == count


def test_what_is_compressed_and_within_the_limit_is_run(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    code = """
text = "x" * 30_000_000
results = [worker.apply_async(("return", text), compression=each) for each in ("gzip", "bzip2", "xz")]
print(json.dumps([each.get(timeout=60) == text for each in results]))"""
    assert node.produce(code, "alpha") == [True] * 3


RESULTS = """
import bz2
from kombu import Connection, Producer
import pathlib
go = pathlib.Path(greek.__file__).with_name("go")
result = worker.delay("wait for a file", str(go))
queue = result.backend.oid
press = bz2.BZ2Compressor()  # part by part, so that making it takes no memory
large = b"".join(map(press.compress, [b"{", *[b" " * 1_000_000] * 70, b"}"])) + press.flush()
messages = [
    (large, {"compression": "bzip2"}, "application/json", "utf-8"),
    (large, {}, "application/text", "bz2"),
    (b"-" + b"kva" * 800_000, {}, "application/text", "punycode"),
    (b"[]", {}, "application/json", "utf-8"),
    (b"{", {}, "application/json", "utf-8"),
    (b"{}", {}, "application/x-nothing", "utf-8"),
]
with worker.app.connection_for_write() as connection:
    for body, headers, kind, encoding in messages:
        Producer(connection.default_channel).publish(
            body, exchange="", routing_key=queue, headers=headers, content_type=kind, content_encoding=encoding
        )
go.touch()
value = result.get(timeout=60)
# Not getrusage's: that counts the process that forked this one as well.
(peak,) = (line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([value == str(go), int(peak.split()[1])]))"""


def test_what_is_no_result_disturbs_nobody_who_waits_for_another(node: Node) -> None:
    node.configure("alpha", DEFAULTS__POOL="solo")
    node.start()
    node.wait_until_consuming()
    value, kibibytes = node.produce(RESULTS, "alpha")
    assert value is True
    assert kibibytes < 400_000
