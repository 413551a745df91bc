"""kombu's filesystem transport, with folders that follow from its URL; kombu imports it where a broker is embedded."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from kombu.transport import filesystem

POLLING_INTERVAL = 0.1  # seconds; kombu's default of 1 s makes every answer feel slow


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
