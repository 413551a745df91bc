"""Who waits for a reload, over real connections."""

import gc
import socket
import weakref
from pathlib import Path
from selectors import BaseSelector

from agent.control import address
from agent.control.server import Connection, Server
from agent.run.reloaders import Reloaders
from agent.run.timers import Timers
from tests.adapters.loop import Loop


def test_who_has_left_is_forgotten_before_the_configuration_is_read(
    tmp_path: Path, selector: BaseSelector, timers: Timers, loop: Loop
) -> None:
    """Somebody may come and go as fast as he can while it is read, which takes seconds."""
    asked: list[Connection] = []
    server = Server(tmp_path, selector, timers, lambda _, connection: asked.append(connection), lambda _: None)
    reloaders = Reloaders()
    seen = []
    for _ in range(3):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.connect(str(address.socket_in(tmp_path)))
            peer.sendall(b'{"request": "reload"}\n')
            loop.until(lambda: asked)
        connection = asked.pop()
        reloaders.add(connection)
        connection.close()
        seen.append(weakref.ref(connection))
        del connection
    gc.collect()
    assert [each() is None for each in seen] == [True, True, False]
    server.close()
