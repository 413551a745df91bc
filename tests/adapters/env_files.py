"""Env files of every shape, and what dotenv, systemd and bash make of one."""

from __future__ import annotations

import ctypes
import io
import os
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dotenv import dotenv_values

_MARKS = "'\"\\$`#;&|<>(){}[]*?!~=:%@,.+-/^"
_PIECES = (
    *_MARKS, *_MARKS, *"abnrtvx019_ABZ", *" \t",
    "\n", "\r\n", "\r", "\\\\", "\\'", '\\"', "\\n", "\\\n", "\\$", " #", "#",
    "$HOME", "${A}", "$(b)", "~/x", "a:~", "é", "ß", "漢", "🎉",
    "\u00a0", "\u2003", "\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\x01", "\x7f", "\x1b[2J",
    "amqp://u:p@h/%2F", '{"queue": {"POOL": "solo"}}', "-----BEGIN KEY-----\nabc=\n-----END KEY-----",
    "export ", "VN=", "x" * 300,
)  # fmt: skip
_PLAIN = ("a", "B", "7", "_", ".", "/", ":", ",", "@", "%", "+", "=", "-", "é", "漢")
_BEFORE = ("", "", "", "", " ", "\t", "export ", "export\t", "export \u00a0")
_EQUALS = ("=", "=", "=", "=", "=", "= ", " =", "=\t", "=\u00a0")
_ENDS = ("\n", "\n", "\n", "\n", "\n\n", "\r\n", "\r", "")
_AFTER = ("", "", "", "", " ", " # comment", "# comment", " #", "\t#\\", "\u00a0", " x", "\u00a0# c")
_BETWEEN = (
    "# comment",
    "# comment",
    "# comment",
    "# it's \\",
    "",
    "   ",
    "\t# x='",
    "; other",
    "Vx",
    "'V9'=x",
    "#V9=x",
    "\ufeffV9=1",
    "export ",
    "=",
    "V9",
    "2V=x",
)


def value(chance: random.Random) -> str:
    """Return a value of up to some hundred characters, any of them."""
    return "".join(chance.choice(_PIECES) for _ in range(chance.choice((0, 1, 1, 2, 3, 5, 8))))


def env_file(chance: random.Random) -> str:
    """Return an env file of up to five lines, right ones and wrong ones; all its names begin with V."""
    text = "\ufeff" if chance.random() < 0.02 else ""
    for number in range(chance.randrange(1, 4)):
        if chance.random() < 0.1:
            text += chance.choice(_BETWEEN) + chance.choice(_ENDS)
        text += assignment(chance, f"V{number}")
    return text


def assignment(chance: random.Random, name: str) -> str:
    """Return a line, or several, that may give a variable a value; most of them are tidy."""
    if chance.random() < 0.7:
        return f"{name}={_written(chance)}{chance.choice(_AFTER[:6])}\n"
    before, equals = chance.choice(_BEFORE), chance.choice(_EQUALS)
    return f"{before}{name}{equals}{_written(chance)}{chance.choice(_AFTER)}{chance.choice(_ENDS)}"


def _written(chance: random.Random) -> str:
    match chance.randrange(5):
        case 0:
            return "".join(chance.choice(_PLAIN) for _ in range(chance.randrange(9)))
        case 1:
            return f"'{value(chance)}'"
        case 2:
            return f'"{value(chance)}"'
        case 3:
            return quoted(value(chance))
        case _:
            return value(chance)


def can_be_alike(text: str) -> bool:
    """Say whether there is a way to write a value in which all readers agree."""
    return not (set(text) & set("'\\") and set(text) & set("$`\x7f"))


def quoted(text: str) -> str:
    """Return a value in that way."""
    if "'" in text or "\\" in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"'{text}'"


def by_dotenv(text: str) -> dict[str, str | None]:
    """Return what python-dotenv makes of an env file."""
    return dotenv_values(stream=io.StringIO(text), interpolate=False)


class Systemd:
    """The parser that systemd itself reads EnvironmentFile= with, out of its library."""

    def __init__(self) -> None:
        """Load the library; raises ValueError where there is none."""
        self._library = ctypes.CDLL(str(max(Path("/usr/lib").glob("*/systemd/libsystemd-shared-*.so"))))
        strings = ctypes.POINTER(ctypes.c_char_p)
        self._library.load_env_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(strings)]
        self._library.strv_env_clean_with_callback.argtypes = [strings, ctypes.c_void_p, ctypes.c_void_p]
        self._library.strv_free.argtypes = [strings]
        self._library.strv_free.restype = ctypes.c_void_p
        self._strings = strings

    def read(self, path: Path) -> dict[str, str]:
        """Return what systemd makes of an env file; raises OSError for one that it does not read."""
        found = self._strings()
        status = self._library.load_env_file(None, os.fsencode(path), ctypes.byref(found))
        if status < 0:
            raise OSError(-status, os.strerror(-status), path)
        if not found:
            return {}
        self._library.strv_env_clean_with_callback(found, None, None)
        lines: list[str] = []
        while (line := found[len(lines)]) is not None:
            lines.append(line.decode())
        self._library.strv_free(found)
        return dict(line.split("=", 1) for line in lines)


_SOURCE = r"""
for file in "$@"; do
    set -a; . "$file"; set +a
    for name in "${!V@}"; do printf '%s=%s\0' "$name" "${!name}"; done
    printf '\0'
    unset "${!V@}"
done
"""


def by_bash(paths: Sequence[Path]) -> list[dict[str, str]]:
    """Return what a shell makes of env files that it reads one after the other, `set -a; . FILE`: names that begin with V."""
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-c", _SOURCE, "bash", *map(str, paths)],
        env={"PATH": "", "LC_ALL": "C.UTF-8"},
        cwd=paths[0].parent,
        capture_output=True,
        timeout=600,
        check=True,
    )
    files, found = [], {}
    for line in done.stdout.decode().split("\0")[:-1]:
        if line:
            name, _, text = line.partition("=")
            found[name] = text
        else:
            files.append(found)
            found = {}
    return files
