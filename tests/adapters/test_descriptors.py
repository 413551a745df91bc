"""What an import opens, in a process of its own: what forked processes may use side by side, and what they can't."""

import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import sys
from agent.guest.descriptors import opened, unshareable_since
before = opened()
exec(sys.argv[1])
print(unshareable_since(before))
"""
SHARED = {
    "a file that is written": "it = open('written', 'w')",
    "a file that is appended to and read": "it = open('written', 'a+')",
    "a file that is read": "it = open('read')",
    "a file that is mapped": "import mmap; f = open('read', 'r+b'); it = mmap.mmap(f.fileno(), 0)",
    "a log file": "import logging; it = logging.FileHandler('log')",
    "a device": "it = open('/dev/null', 'r+')",
    "a folder": "import os; it = os.open('.', os.O_RDONLY)",
    "a statistics client": "import socket; it = socket.socket(type=socket.SOCK_DGRAM); it.connect(('127.0.0.1', 9))",
    "a tracker of multiprocessing": "from multiprocessing import get_context; it = get_context('spawn').Lock()",
    "what is closed": "import socket; it = socket.socketpair(); [each.close() for each in it]",
    "what only garbage holds": "import gc, socket; gc.disable(); it = [socket.socket()]; it.append(it); del it",
    "a database in memory": "import sqlite3; it = sqlite3.connect(':memory:')",
}
REFUSED = {
    "import socket; it = socket.create_server(('127.0.0.1', 0))": "a socket at 127.0.0.1:",
    "import socket; it = socket.create_server(('127.0.0.1', 0)); us = socket.create_connection(it.getsockname())": (
        "a connection to 127.0.0.1:"
    ),
    "import socket; it = socket.socket(socket.AF_UNIX); it.bind(chr(0) + 'abstract')": "a socket at @abstract",
    "import socket; it = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)": "a connection to 0:0",
    "import asyncio; it = asyncio.new_event_loop()": "a connection to an unnamed socket, an object of the kernel (eventpoll)",
    "import os; it = os.pipe()": "2 times a pipe",
    "import os; os.mkfifo('line'); it = open('line', 'r+b', 0)": "/line)",
    "import tempfile; it = tempfile.TemporaryFile()": "for reading and writing",
    "import sqlite3; it = sqlite3.connect('file:known.db?mode=ro', uri=True)": "the database ",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "read").write_text("text")
    make = "import sqlite3; it = sqlite3.connect('known.db'); it.execute('CREATE TABLE t (c)'); it.close()"
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True, timeout=30)
    return tmp_path


@pytest.mark.parametrize("code", SHARED.values(), ids=SHARED)
def test_what_processes_can_use_side_by_side_is_no_fault(folder: Path, code: str) -> None:
    assert ask(folder, code) == ""


@pytest.mark.parametrize(("code", "words"), REFUSED.items())
def test_what_processes_can_not_use_side_by_side_is_named(folder: Path, code: str, words: str) -> None:
    assert words in ask(folder, code)


def ask(folder: Path, code: str) -> str:
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", ASK, code],
        cwd=folder,
        env={"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()
