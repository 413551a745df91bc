"""Log lines of the agent and of its workers, at real pipes, files, sockets and terminals whose readers are of no use."""

import errno
import os
import pty
import re
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.guest.journal import Journal, Priority
from agent.guest.lines import Lines
from agent.guest.secrets import Redactor
from agent.guest.work.output import Output, Stream
from agent.run.logs import Log
from tests.waiting import wait_until

SOURCE = Path(__file__).parents[2]
MORE_THAN_FITS = 3_000  # lines; a pipe holds 64 KiB, a pair of sockets some 200
# Writes facts to a stderr that nobody reads, then says on stdout that it has come to the end of them.
TALKER = """
import sys
from agent.run.logs import Log
log = Log("magic")
for number in range(int(sys.argv[1])):
    log.fact("fact", number=number, text="x" * 50)
print("done", flush=True)
sys.stdin.readline()
log.fact("last")
"""
# What a worker does with what it says, and with what its tasks say: print, and Celery's logger made for stderr.
WORKER = """
import logging, os, sys
from celery import Celery
from celery.apps import worker as celery_worker
from agent.guest.secrets import Redactor
from agent.guest.work import output
output.PATIENCE = 0.05
voice = output.speak("magic", {})
output.speak_as_worker(voice, "alpha", 1, Redactor(()))
Celery().log.setup(logging.INFO)
for number in range(int(sys.argv[1])):
    logging.getLogger("mine").info("x" * 50)
    print("x" * 50)
sys.__stdout__.flush()
celery_worker.safe_say("worker: Warm shutdown (MainProcess)", sys.__stdout__)  # as Celery's handler of SIGTERM does
os.write(int(sys.argv[2]), b"done")
sys.stdin.readline()
logging.getLogger("mine").info("last")
"""

Talk = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """Start a program of facts with what is given as its stderr; what is left of it is killed afterwards."""
    started: list[subprocess.Popen[bytes]] = []

    def start(stderr: int, lines: int = MORE_THAN_FITS) -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        arguments = [sys.executable, "-c", TALKER, str(lines)]
        started.append(subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=stderr, cwd=SOURCE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def come_to_the_end(process: "subprocess.Popen[bytes]") -> None:
    """Fail where the program is held up by its stderr, or was ended by it."""
    assert process.stdout is not None
    wait_until(lambda: is_readable(process.stdout.fileno()) or process.poll() is not None)  # type: ignore[union-attr]
    assert process.stdout.readline() == b"done\n"


def is_readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def finish(process: "subprocess.Popen[bytes]") -> int:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    return process.wait(30)


def drained(descriptor: int) -> bytes:
    """Return what is there to be read."""
    text = b""
    while is_readable(descriptor):
        try:
            received = os.read(descriptor, 65_536)
        except OSError as error:
            assert error.errno == errno.EIO  # what a terminal says whose other end is closed
            break
        if not received:
            break
        text += received
    return text


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


@contextmanager
def sockets() -> Iterator[tuple[int, int]]:
    reader, writer = socket.socketpair()
    with reader, writer:
        yield reader.fileno(), writer.fileno()


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("kind", [pipe, sockets, terminal])
def test_a_reader_that_takes_nothing_holds_nobody_up_and_is_told_what_it_missed(kind: Callable, talk: Talk) -> None:  # type: ignore[type-arg]
    read = bytearray()
    with kind() as (reader, writer):
        process = talk(writer)
        come_to_the_end(process)
        read += drained(reader)
        assert finish(process) == 0
        while b"last" not in read:  # the kernel hands on later what is written to a terminal
            read += drained(reader)
    lines = read.decode().replace("\r\n", "\n").splitlines(keepends=True)
    whole = [line for line in lines if line.startswith("celery-agent[magic]: fact number=") and line.endswith("xx\n")]
    told = [line for line in lines if "messages-lost" in line]
    lost = sum(int(line.removeprefix("celery-agent[magic]: messages-lost count=")) for line in told)
    assert len(whole) + lost == MORE_THAN_FITS
    assert lines[-1].startswith("celery-agent[magic]: last")


@pytest.mark.parametrize("kind", [pipe, sockets])
def test_a_reader_that_is_gone_ends_nobody(kind: Callable, talk: Talk) -> None:  # type: ignore[type-arg]
    with kind() as (reader, writer):
        os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
        process = talk(writer, 3)
        come_to_the_end(process)
        assert finish(process) == 0


def test_a_disk_that_is_full_ends_nobody(talk: Talk) -> None:
    with open("/dev/full", "wb") as full:
        process = talk(full.fileno(), 3)
        come_to_the_end(process)
        assert finish(process) == 0


def test_a_file_is_written_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("former\n")
    with path.open("ab") as file:
        lines = Lines("agent", descriptor=file.fileno())
        lines.write(b"one\n")
        file.write(b"of another process\n")
        file.flush()
        lines.write(b"two\n")
    assert path.read_text() == "former\none\nof another process\ntwo\n"


def test_a_stderr_that_is_closed_ends_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    closed = os.open(os.devnull, os.O_WRONLY)
    os.close(closed)
    Lines("agent", descriptor=closed).write(b"to nobody\n")
    assert capfd.readouterr() == ("", "")


def test_a_description_that_others_have_too_stays_as_it_is() -> None:
    with pipe() as (_, writer):
        Lines("agent", descriptor=writer).write(b"line\n")
        assert os.get_blocking(writer)


def test_a_pipe_of_another_user_is_written_to_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "agent.guest.lines._opened_anew", lambda descriptor: None
    )  # what EACCES comes to; root gets none
    with pipe() as (reader, writer):
        lines = Lines("agent", descriptor=writer)
        for _ in range(MORE_THAN_FITS):
            lines.write(b"x" * 49 + b"\n")
        taken = len(drained(reader).splitlines())
        lines.write(b"last\n")
        assert drained(reader) == b"agent: messages-lost count=%d\nlast\n" % (MORE_THAN_FITS - taken)


def test_the_rest_of_a_line_that_was_torn_off_does_not_hide_the_next_one() -> None:
    with pipe() as (reader, writer):
        lines = Lines("agent", descriptor=writer)
        lines.write(b"x" * 1_000_000 + b"\n")
        torn = drained(reader)
        assert torn == b"x" * len(torn)
        lines.write(b"next\n")
        assert drained(reader) == b"\nagent: messages-lost count=1\nnext\n"


def test_the_daemon_waits_for_no_journal_and_tells_it_later_what_it_could_not_take(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
        slow.bind(path)
        log = Log("magic", Journal(path, patience=0.0))
        for number in range(2_000):
            log.fact("fact", number=number)
        told = []
        while log.is_behind:
            told.append(slow.recv(65_536))
            log.flush()
        slow.setblocking(False)
        while len(told) < 2_000:
            try:
                told.append(slow.recv(65_536))
            except BlockingIOError:
                break
        log.fact("fact", number="last")
        told += [slow.recv(65_536), slow.recv(65_536)]
    numbers = [int(found[1]) for each in told if (found := re.search(rb"^CELERY_NUMBER=(\d+)$", each, re.MULTILINE))]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 1_000
    assert f"messages-lost count={2_000 - len(numbers)}".encode() in told[-1]


def test_a_print_fails_no_task_where_journal_and_stderr_are_gone(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
        gone = Journal(str(tmp_path / "none"))
        output = Output(gone, Lines("agent", descriptor=writer), {}, Redactor(()))
        print("text", file=Stream(sys.stdout, output, Priority.INFO))


@pytest.mark.parametrize("is_gone", [False, True])
def test_what_a_worker_says_to_nobody_neither_ends_it_nor_holds_it_up(is_gone: bool) -> None:
    with pipe() as (reader, writer), pipe() as (said, say):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(MORE_THAN_FITS), str(say)],
            stdin=subprocess.PIPE,
            stdout=writer,
            stderr=writer,
            pass_fds=[say],
            cwd=SOURCE,
        )
        try:
            if is_gone:
                os.dup2(os.open(os.devnull, os.O_RDONLY), reader)
            wait_until(lambda: is_readable(said) or process.poll() is not None)
            assert drained(said) == b"done"
            drained(reader)
            assert finish(process) == 0
            if not is_gone:
                text = drained(reader).decode()
                assert "celery-agent[magic/alpha]: messages-lost count=" in text
                assert "] last\n" in text
        finally:
            process.kill()
            process.wait()
