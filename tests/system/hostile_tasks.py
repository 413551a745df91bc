"""A task that does whatever its caller says, and tells who refused it. It is copied to a host, and imported there alone."""

import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import celery

_LIBC = ctypes.CDLL(None, use_errno=True)


class Attack(celery.Task):
    """Evaluates an expression; what it names stands below."""

    name = "attack"

    def run(self, code: str) -> list[str]:
        """Return ["done", the value], or ["refused", the error's name and text]."""
        try:
            return ["done", repr(eval(code))]  # noqa: S307 - it is hostile
        except OSError as error:
            return ["refused", f"{errno.errorcode[error.errno or 0]} {error.strerror}"]


def read(path: str, where: int = 0) -> bytes:
    """Return the first bytes of a file from a place on."""
    with open(path, "rb", buffering=0) as file:
        file.seek(where)
        return file.read(200)


def write(path: str, text: str) -> int:
    """Write to a file that is there."""
    with open(os.open(path, os.O_WRONLY), "wb", buffering=0) as file:
        return file.write(text.encode())


def connect(path: str) -> bytes:
    """Ask a control socket for its status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(b'{"request": "status"}\n')
        return connection.recv(100)


def command(*words: str) -> str:
    """Run a program; it refuses by its exit status."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise PermissionError(errno.EPERM, done.stderr or done.stdout)
    return done.stdout


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library."""
    done: int = getattr(_LIBC, name)(*arguments)
    if done == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return done


def peek(pid: int) -> int:
    """Read another process's memory, at the address where that of this one begins."""
    start = int(Path("/proc/self/maps").read_text().partition("-")[0], 16)
    words = ctypes.c_size_t * 2  # struct iovec: where, how much
    here, there = words(ctypes.addressof(ctypes.create_string_buffer(64)), 64), words(start, 64)
    return call(
        "process_vm_readv",
        pid,
        ctypes.byref(here),
        ctypes.c_ulong(1),
        ctypes.byref(there),
        ctypes.c_ulong(1),
        ctypes.c_ulong(0),
    )


def own_group() -> str:
    """Return the cgroup of this process, as a folder."""
    return "/sys/fs/cgroup" + Path("/proc/self/cgroup").read_text().strip().partition("::")[2]


__all__ = ["Attack", "resource", "signal"]
