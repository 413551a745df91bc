"""The commands' end of the control socket: asks one thing, and says in one line why there is no answer."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

from agent.control import address, operators
from agent.control.peer import Peer, peer_of, user_name
from agent.control.protocol import LONGEST_ANSWER, Answer, Refusal, Request, decode_answer, encode_request
from agent.decide.plan import Difference
from agent.decide.status import Status
from agent.errors import AgentError, NotRunning, ProtocolError

STATUS_TIMEOUT = 5.0  # seconds; the daemon answers within milliseconds, one that does not is stopped or hung
RELOAD_TIMEOUT = 330.0  # seconds; the planner's own deadline is below


def status(folder: Path, timeout: float = STATUS_TIMEOUT) -> Status:
    """Return the status of the instance with a runtime folder.

    timeout: seconds for all of it. Raises NotRunning, or AgentError where it is hung, answers something else, or is none.
    """
    return _status(folder, Request.STATUS, timeout)


def figures(folder: Path, timeout: float = STATUS_TIMEOUT) -> Status:
    """Return the status by the daemon's last look at its queues, some seconds ago: it does not look for this."""
    return _status(folder, Request.FIGURES, timeout)


def health(folder: Path, timeout: float = STATUS_TIMEOUT) -> Status:
    """Return the status without memory and CPU, for which nothing is measured then."""
    return _status(folder, Request.HEALTH, timeout)


def _status(folder: Path, request: Request, timeout: float) -> Status:
    answer, who = _ask(folder, request, timeout)
    if not isinstance(answer, Status):
        raise ProtocolError(f"the agent at {folder} did not answer with a status")
    if not who.may_call_itself(answer.pid):
        raise _false_agent(folder, f"{who}, says that it is process {answer.pid}")
    return answer


def reload(folder: Path, timeout: float = RELOAD_TIMEOUT) -> Difference:
    """Have the instance read its env file anew; return what changes, or raise what is wrong with the file."""
    answer, _ = _ask(folder, Request.RELOAD, timeout)
    if not isinstance(answer, Difference):
        raise ProtocolError(f"the agent at {folder} did not answer to a reload")
    return answer


def _ask(folder: Path, request: Request, timeout: float) -> tuple[Answer, Peer]:
    """Return the answer of a running agent, and who it is; raises what it refuses, and why there is none, as an AgentError."""
    path = address.socket_in(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            line, who = _converse(connection, path, encode_request(request), timeout)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            raise NotRunning(f"no agent listens at {path}") from error
        except PermissionError as error:
            raise AgentError(
                f"this user may not ask the agent at {path}: be root, or in the group {_group(path.parent)}"
            ) from error
        except BlockingIOError as error:  # nobody was accepted from the kernel's own queue meanwhile
            raise AgentError(
                f"the agent at {path} is busy: it has accepted no client for {timeout:g} s, and may be stopped or hung"
            ) from error
        except TimeoutError as error:
            raise AgentError(
                f"the agent at {path} has not answered for {timeout:g} s: it is stopped or hung"
            ) from error
        except ConnectionError as error:
            raise NotRunning(f"the agent at {path} went away: {error}") from error
        except OSError as error:
            raise AgentError(f"the agent at {path} can't be asked: {error}") from error
    answer = decode_answer(line)
    if isinstance(answer, Refusal):
        refused = AgentError(answer.message)
        refused.exit_status = answer.exit_status
        raise refused
    return answer, who


def _false_agent(folder: Path, why: str) -> AgentError:
    return AgentError(f"what answers at {address.socket_in(folder)} is no agent of this node: {why}. End it")


def _checked(connection: socket.socket, path: Path) -> Peer:
    """Return who listens; raises AgentError where that is neither root nor the owner of the folder, which agents see to."""
    who = peer_of(connection)
    owner = path.parent.stat().st_uid
    if who.uid not in (0, owner):
        raise _false_agent(path.parent, f"it is {who}, and the folder is of user {user_name(owner)}")
    return who


def _group(folder: Path) -> str:
    """Return the name of the group that may ask, which the folder of the socket tells."""
    return " or ".join(operators.groups_of(folder)) or "of its folder"


def _converse(connection: socket.socket, path: Path, request: bytes, timeout: float) -> tuple[bytes, Peer]:
    """Send a line and return the line that is answered, and who has answered; raises OSError, or AgentError."""
    deadline = time.monotonic() + timeout
    # The kernel lets a socket that blocks wait for its turn to connect, but not one that Python gave a timeout.
    connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(timeout), int(timeout % 1 * 1_000_000))
    )
    with address.short(path) as name:
        connection.connect(name)
    who = _checked(connection, path)
    connection.settimeout(_left(deadline))
    with suppress(ConnectionError):  # it may be told why it is not served before it has asked
        connection.sendall(request)
    line = bytearray()
    while not line.endswith(b"\n"):
        connection.settimeout(_left(deadline))
        received = connection.recv(262_144)
        if not received:
            raise ConnectionResetError("closed before the answer")
        line += received
        if len(line) > LONGEST_ANSWER:
            raise OSError(f"its answer has more than {LONGEST_ANSWER} bytes")
    return bytes(line), who


def _left(deadline: float) -> float:
    """Return the seconds that are left; raises TimeoutError where none are."""
    left = deadline - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    return left
