"""Messages for the desk: one whose headers are nested too deeply to be shown comes as one does that can't be decoded.

Anybody who may publish may send a table with a thousand more inside of it. Each header frame is decoded twice by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from amqp.method_framing import Message

from celery_delivery.worker import frames

MOST_LEVELS = 50  # of tables and lists in one another; Python follows some hundreds, and writes fewer than it reads


def tolerant(connection: Any, callback: Callable[..., Any]) -> Callable[[frames.Frame], Any]:
    """Return what reads the frames of a connection, for py-amqp's argument `frame_handler`."""
    read = frames.tolerant(connection, callback)

    def on_frame(frame: frames.Frame) -> Any:
        kind, channel, content = frame
        if kind == frames.CONTENT_HEADER and _is_deep(content):
            content = frames.raw(bytes(content), "its headers are nested too deeply")
        return read((kind, channel, content))

    return on_frame


def is_shallow(value: Any) -> bool:
    """Say whether a value has no more than MOST_LEVELS of tables and lists in one another."""
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [each for outer in level for each in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: Any) -> Iterable[Any]:
    match value:
        case Mapping():
            return value.values()
        case list() | tuple():
            return value
    return ()


def _is_deep(content: bytes) -> bool:
    message = Message()
    try:
        message.inbound_header(content)
    except Exception:  # whatever py-amqp raises, the library's reader knows it
        return False
    return not is_shallow(message.properties.get("application_headers"))
