"""The descriptors of this process, and which of them forked processes may use side by side.

    a file that is read                  yes, with a position of its own: see `read_apart`
    a file that is written               yes: what they write comes one after the other
    a file that is read and written      only where it is appended to, or mapped: they would move each other's position
    an SQLite database                   no: its locks and its cache are of one process
    a device, a folder                   yes
    a datagram socket (UDP, syslog)      yes: each message is whole
    any other socket                     no: one would read what another was answered
    a pipe                               no, but for that of multiprocessing's resource tracker, which is made for it
    what else the kernel has (epoll …)   no: it is the core of an event loop

Sources: fork(2); "How To Corrupt An SQLite Database File", section 2.6; unix(7) and udp(7) on datagrams.
"""

from __future__ import annotations

import fcntl
import gc
import os
import socket
import stat
import sys
from collections import Counter
from pathlib import Path

from . import pooled

_OPEN = "/proc/self/fd"
_DATAGRAMS = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
_SQLITE = b"SQLite format 3\0"
_TRACKERS = (  # module, its one object, and where that has the pipe
    ("multiprocessing.resource_tracker", "_resource_tracker", "_fd"),
    ("billiard.semaphore_tracker", "_semaphore_tracker", "_semaphore_tracker_fd"),
)


def opened() -> frozenset[int]:
    """Return the descriptors that are open."""
    return frozenset(descriptor for descriptor in map(int, os.listdir(_OPEN)) if _is_open(descriptor))


def unshareable_since(before: frozenset[int]) -> str:
    """Return what is wrong with what has been opened since, and what to do; "" where forked processes may use all of it."""
    found = _unshareable(before)
    if found:
        pooled.close()
        gc.collect()  # what nobody holds any more is closed by this at the latest, and the template has it switched off
        found = _unshareable(before)
    if not found:
        return ""
    names = ", ".join(name if count == 1 else f"{count} times {name}" for name, count in sorted(Counter(found).items()))
    return (
        f"importing it opens {names}, which the forked workers would all use at once. "
        "Open it where it is first used, or leave the module out."
    )


def read_apart(descriptors: frozenset[int]) -> None:
    """Give this process a position of its own in each file that is only read."""
    for descriptor in descriptors:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and flags & (os.O_ACCMODE | os.O_PATH) == os.O_RDONLY:
            _open_again(descriptor, flags)


def _open_again(descriptor: int, flags: int) -> None:
    try:
        again = os.open(f"{_OPEN}/{descriptor}", flags)
    except OSError:  # it may no longer be opened by this user: then the position stays the common one
        return
    os.lseek(again, os.lseek(descriptor, 0, os.SEEK_CUR), os.SEEK_SET)
    os.dup2(again, descriptor, inheritable=os.get_inheritable(descriptor))
    os.close(again)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:  # the listing's own
        return False
    return True


def _unshareable(before: frozenset[int]) -> list[str]:
    return [text for descriptor in opened() - before if (text := _fault(descriptor))]


def _fault(descriptor: int) -> str:
    """Return what a descriptor leads to, where it can't be shared; else ""."""
    mode = os.fstat(descriptor).st_mode
    target = os.readlink(f"{_OPEN}/{descriptor}")
    if stat.S_ISSOCK(mode):
        return _fault_of_socket(descriptor)
    if stat.S_ISREG(mode):
        return _fault_of_file(descriptor, target)
    if stat.S_ISFIFO(mode):
        return "" if descriptor in _tracker_pipes() else f"a pipe ({target})" if target.startswith("/") else "a pipe"
    if target.startswith("anon_inode:"):
        return f"an object of the kernel ({target.removeprefix('anon_inode:').strip('[]')})"
    return ""


def _fault_of_socket(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as found:
        if found.type == socket.SOCK_DGRAM and found.family in _DATAGRAMS:
            return ""
        try:
            return f"a connection to {_address(found.getpeername())}"
        except OSError:
            return f"a socket at {_address(found.getsockname())}"


def _address(name: object) -> str:
    if isinstance(name, tuple) and len(name) >= 2:
        return f"{name[0]}:{name[1]}"
    text = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    return text.replace("\0", "@") or "an unnamed socket"  # "@", as ss(8) shows an abstract one


def _fault_of_file(descriptor: int, path: str) -> str:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    access = flags & os.O_ACCMODE
    if flags & os.O_PATH or access == os.O_WRONLY:
        return ""
    if os.pread(descriptor, len(_SQLITE), 0) == _SQLITE:
        return f"the database {path}"
    if access == os.O_RDONLY or flags & os.O_APPEND or path in _mapped():
        return ""
    return f"the file {path} for reading and writing"


def _mapped() -> frozenset[str]:
    lines = map(os.fsdecode, Path("/proc/self/maps").read_bytes().splitlines())
    return frozenset(fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6)


def _tracker_pipes() -> set[object]:
    return {
        getattr(getattr(sys.modules.get(module), tracker, None), attribute, None)
        for module, tracker, attribute in _TRACKERS
    }
