"""A test that never ends, for test_leftovers.py: a broker, a Redis and an agent are there when it is killed."""

import signal

from tests.node import Node
from tests.redis import Redis


def test_never_ends(node: Node, redis_server: Redis) -> None:
    node.configure("alpha")
    node.start()
    node.wait_until_consuming()
    signal.pause()
