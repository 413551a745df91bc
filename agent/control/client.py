"""The commands' end of the control socket."""

from __future__ import annotations

import socket
from pathlib import Path

from agent.control import address
from agent.control.protocol import Answer, Refusal, Request, decode_answer, encode_request
from agent.decide.plan import Difference
from agent.decide.status import Status
from agent.errors import AgentError, NotRunning, ProtocolError

STATUS_TIMEOUT = 5.0  # seconds; the daemon answers within milliseconds, one that does not is stopped or hung
RELOAD_TIMEOUT = 330.0  # seconds; the planner's own deadline is below


def status(path: Path) -> Status:
    """Return the status of the instance behind a control socket; raises NotRunning, or AgentError where it is hung."""
    answer = _ask(path, Request.STATUS, STATUS_TIMEOUT)
    if not isinstance(answer, Status):
        raise ProtocolError(f"the agent at {path} did not answer with a status")
    return answer


def reload(path: Path) -> Difference:
    """Have the instance read its env file anew; return what changes, or raise what is wrong with the file."""
    answer = _ask(path, Request.RELOAD, RELOAD_TIMEOUT)
    match answer:
        case Difference():
            return answer
        case Refusal(message, exit_status):
            error = AgentError(message)
            error.exit_status = exit_status
            raise error
        case _:
            raise ProtocolError(f"the agent at {path} did not answer to a reload")


def _ask(path: Path, request: Request, timeout: float) -> Answer:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            with address.short(path) as name:
                connection.connect(name)
            connection.sendall(encode_request(request))
            line = _read_line(connection)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            raise NotRunning(f"no agent listens at {path}") from error
        except PermissionError as error:
            raise AgentError(
                f"this user may not ask the agent at {path}: be root, or in the group {_group(path)}"
            ) from error
        except TimeoutError as error:
            raise AgentError(
                f"the agent at {path} has not answered for {timeout:g} s: it is stopped or hung"
            ) from error
        except ConnectionError as error:
            raise NotRunning(f"the agent at {path} went away: {error}") from error
    return decode_answer(line)


def _group(path: Path) -> str:
    """Return the name of the group that may ask: that of the socket's folder."""
    try:
        return path.parent.group()
    except (OSError, KeyError):  # KeyError: a group without a name
        return "of its folder"


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        received = connection.recv(262_144)
        if not received:
            raise ConnectionResetError("closed before the answer")
        line += received
    return line
