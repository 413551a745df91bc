"""kombu's filesystem transport, with folders that follow from its URL; kombu imports it where a broker is embedded.

fault of kombu 5.7's filesystem transport                     seen as                                  mend
------------------------------------------------------------  ---------------------------------------  ------------
a message is written under the name by which it is looked     a worker takes it while it is empty:     _put
for                                                           the worker ends, the message is gone
so is the first binding of an exchange                        the same JSONDecodeError, in a producer  _queue_bind
"""

import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps

from celery_delivery import internals, mending

POLLING_INTERVAL = 0.1  # seconds; kombu's default of 1 s makes every answer feel slow
COMING = ".coming"  # how the name of a file ends that is not whole


class Channel(filesystem.Channel):
    """A channel whose folders follow from its URL."""

    @property
    def transport_options(self) -> dict[str, Any]:
        """What kombu's channel looks up: where messages and bindings are."""
        client = self.connection.client
        place = Path("/") / client.virtual_host
        queues = str(place / "queues")
        return {
            **client.transport_options,
            "data_folder_in": queues,
            "data_folder_out": queues,
            "control_folder": str(place / "control"),
        }

    @mending.where(internals.client.EMBEDDED)
    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        """Put a message into a queue; those of one queue are sorted by their names."""
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        _whole(Path(self.data_folder_out) / name, dumps(payload))

    @mending.where(internals.client.EMBEDDED)
    def _queue_bind(self, exchange: str, *binding: Any) -> None:
        """Bind a queue; kombu changes a file that is there under a lock."""
        file = self.control_folder / f"{exchange}.exchange"
        if file.parent == self.control_folder and not file.exists():  # kombu refuses a name that leads elsewhere
            _whole(file, "[]")
        super()._queue_bind(exchange, *binding)


class Transport(filesystem.Transport):
    """Messages as files in a folder, which is the path of the URL."""

    Channel = Channel
    polling_interval = POLLING_INTERVAL
    # A worker has the same loop as with RabbitMQ. In the other one a signal waits for up to 4 s, and each thread for 1 s.
    implements = filesystem.Transport.implements.extend(asynchronous=True)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Have a worker's loop look into the folder at each turn, and turn at each interval."""
        loop.on_tick.add(partial(self._read, connection, loop))
        loop.call_repeatedly(POLLING_INTERVAL, bool)

    def _read(self, connection: Any, loop: Any) -> None:
        """Take a message, if one is there and may be fetched; then the loop does not wait, as there may be more."""
        with suppress(TimeoutError):
            self.drain_events(connection, timeout=0)
            loop.call_soon(bool)

    @property
    def default_connection_params(self) -> dict[str, Any]:
        """What the URL leaves out: a folder has neither host nor port, and kombu warns where it takes its own."""
        return {}


def _whole(file: Path, text: str) -> None:
    """Write a file so that nobody sees a part of it, unless another process has been first; raises ChannelError."""
    coming = file.with_name(f"{uuid.uuid4()}{COMING}")
    try:
        coming.write_text(text)
        with suppress(FileExistsError):
            file.hardlink_to(coming)
    except OSError as error:
        raise ChannelError(f"{file} can't be written: {error}") from error
    finally:
        coming.unlink(missing_ok=True)
