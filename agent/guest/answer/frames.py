"""Messages whose properties py-amqp can't decode: they come all the same, with the bytes as they are.

Anybody who may publish may send a correlation_id that is no UTF-8, a time after the year 9999, or a table with a thousand
more inside of it. py-amqp raises what it meets there, and loses the connection. Here such a header frame becomes one that
has all of its bytes in a single header, RAW; a frame is decoded twice by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from struct import calcsize, pack
from typing import Any

from amqp.method_framing import Message, frame_handler
from amqp.serialization import dumps

RAW = "celery-tasks-raw"
MOST_LEVELS = 50  # of tables and lists in one another; Python follows some hundreds, and writes fewer than it reads

_CONTENT_HEADER = 2  # type of a frame: class, weight, size of the body, and then the properties
_START = ">HHQ"
_HEADERS_ALONE = 0x2000  # the flags that say which properties there are

Frame = tuple[int, int, bytes]


def tolerant(connection: Any, callback: Callable[..., Any]) -> Callable[[Frame], bool]:
    """Return what reads the frames of a connection, for py-amqp's argument `frame_handler`."""
    read = frame_handler(connection, callback)

    def on_frame(frame: Frame) -> bool:
        kind, channel, content = frame
        if kind == _CONTENT_HEADER and not _is_decodable(content):
            content = _raw(bytes(content))
        return bool(read((kind, channel, content)))

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


def _is_decodable(content: bytes) -> bool:
    message = Message()
    try:
        message.inbound_header(content)
    except Exception:  # whatever py-amqp raises, it would end the connection
        return False
    return is_shallow(message.properties.get("application_headers"))


def _raw(content: bytes) -> bytes:
    start = content[: calcsize(_START)]
    return start + pack(">H", _HEADERS_ALONE) + bytes(dumps("F", [{RAW: content[len(start) :]}]))
