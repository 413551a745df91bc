"""Messages whose names or properties py-amqp can't decode: they come all the same, and are refused as any that is no task.

py-amqp raises what it meets there: a correlation_id that is no UTF-8, a time after the year 9999, a table that is deeper than
Python follows. Stock Celery's worker ends by it, or connects again and again, and is given the same message each time.

    what can't be decoded                  what comes in its place
    -------------------------------------  -------------------------------------------------------------------
    the properties, headers among them     one header, RAW, with all of their bytes; the task is None
    the routing key, by a header CC        the same properties, where the task is None

What is as it should be costs a call for each frame, and nothing is decoded twice.
"""

from collections.abc import Callable
from functools import partial
from struct import calcsize, pack
from typing import Any

from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic, dumps
from amqp.spec import Basic

from celery_delivery.worker.deaths import HEADER

RAW = "celery-tasks-raw"
REASON = "celery-tasks-unreadable"  # header that says why

CONTENT_HEADER = 2  # type of a frame: class, weight, size of the body, and then the properties
_START = calcsize(">HHQ")
_HEADERS_ALONE = 0x2000  # the flags that say which properties there are
_LONGEST = 200  # characters of a reason

Frame = tuple[int, int, bytes]


def tolerant(connection: Any, callback: Callable[..., Any]) -> Callable[[Frame], Any]:
    """Return what reads the frames of a connection, for py-amqp's argument `frame_handler`."""
    read = frame_handler(connection, partial(_dispatch, callback))

    def on_frame(frame: Frame) -> Any:
        try:
            return read(frame)
        except Exception:
            kind, channel, content = frame
            reason = _obstacle(content) if kind == CONTENT_HEADER else None
            if reason is None:
                raise
            replaced = (kind, channel, raw(bytes(content), reason))
        return read(replaced)

    return on_frame


def _dispatch(callback: Callable[..., Any], channel: int, method: Any, arguments: Any, message: Any) -> Any:
    try:
        return callback(channel, method, arguments, message)
    except UnicodeDecodeError as error:
        readable = _readable(bytes(arguments)) if method == Basic.Deliver else arguments
        if readable == arguments:
            raise
        reason = _text(error)
    headers = message.properties.get("application_headers") or {}
    message.properties["application_headers"] = {**headers, **_refused(reason)}
    return callback(channel, method, readable, message)


def _obstacle(content: bytes) -> str | None:
    """Return why the properties of a message can't be decoded, None where they can."""
    try:
        decode_properties_basic(content, _START)
    except Exception as error:
        return _text(error)
    return None


def _text(error: Exception) -> str:
    return f"its properties can't be decoded: {type(error).__name__}: {error}"[:_LONGEST]


def _refused(reason: str) -> dict[str, Any]:
    return {"task": None, REASON: reason}


def raw(content: bytes, reason: str) -> bytes:
    """Return the header frame of a message that has all bytes of its properties in RAW, and why they are not decoded."""
    properties = content[_START:]
    headers = {**_refused(reason), RAW: properties}
    if HEADER.encode() in properties:  # which nobody can look into
        headers[HEADER] = [None]
    return content[:_START] + pack(">H", _HEADERS_ALONE) + bytes(dumps("F", [headers]))


def _readable(arguments: bytes) -> bytes:
    """Return the arguments of a delivery without those bytes of its names that are no UTF-8."""
    tag_ends = (
        4 + 1 + arguments[4] + 9
    )  # after class and method; the delivery's number and whether it comes again follow
    names, rest = b"", arguments[tag_ends:]
    while rest:
        name = rest[1 : 1 + rest[0]].decode(errors="ignore").encode()
        names += bytes([len(name)]) + name
        rest = rest[1 + rest[0] :]
    return arguments[:tag_ends] + names
