r"""The text of an instance's env file: variables, and the line each stands on.

The grammar is python-dotenv's, without interpolation:

    NAME=value              spaces around the value and a ` # comment` after it are dropped
    NAME="value" 'value'    kept as it is, over several lines too; in double quotes \\ is a backslash and \" a quote
    export NAME=value       so that a shell can read the file too
    # comment

A line that ends with \ is not continued but refused, as is whatever else means one thing here and another to both a shell and
systemd (`readers.py`). The last of two lines for the same variable counts; `agent check` warns of the others.
"""

from __future__ import annotations

import grp
import io
import os
import re
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from agent.config.problems import InvalidConfiguration, Problem, invalid
from agent.config.readers import ends_in_return, is_unlike_shell, read_otherwise
from agent.config.variables import PREFIX, is_setting
from agent.guest.suggestion import suggestion
from agent.guest.values import dataclass

LARGEST = 1_048_576  # bytes; what is larger is no env file
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the file; `line` is where it begins, counted from 1."""

    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class EnvFile:
    """An env file as it was read.

    variables: in the file's order, each name once: the line that counts.
    repeated: lines that don't count, because the same name comes again below.
    unlike_shell: those that a shell reads otherwise, or takes for no assignment.
    """

    path: Path
    variables: tuple[Variable, ...]
    repeated: tuple[Variable, ...] = ()
    unlike_shell: tuple[Variable, ...] = ()

    @property
    def for_agent(self) -> tuple[Variable, ...]:
        """The variables that are settings of the agent."""
        return tuple(variable for variable in self.variables if is_setting(variable.name))

    @property
    def for_tasks(self) -> tuple[Variable, ...]:
        """The variables that are handed on to the tasks."""
        return tuple(variable for variable in self.variables if not is_setting(variable.name))

    def place(self, name: str) -> str:
        """Return where a variable stands, as "file:line", or the file where it isn't there."""
        lines = [variable.line for variable in self.variables if variable.name == name]
        return f"{self.path}:{lines[0]}" if lines else str(self.path)


def read_env_file(path: Path) -> EnvFile:
    """Read an env file; raises InvalidConfiguration where it is missing, can't be read or can't be parsed."""
    if Path(
        os.path.realpath(path)
    ).is_fifo():  # to open it could take forever; a shell's <(…) and /dev/stdin resolve to no file
        raise invalid(f"{path} can't be read: it is a named pipe. It must be a text file of NAME=value lines.")
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise invalid(
            f"{path} is missing. `agent config --example` prints one to start from.{_siblings(path)}"
        ) from None
    except PermissionError:
        raise invalid(
            f"{path} can't be read by this user. Where this is the instance's own: "
            f"chgrp {_own_group()} {path} && chmod 640 {path}"
        ) from None
    except OSError as error:
        raise invalid(f"{path} can't be read: {error.strerror}. It must be a text file of NAME=value lines.") from None
    if len(text) > LARGEST:
        raise invalid(f"{path} has more than {LARGEST:,} bytes. It must be a text file of NAME=value lines.")
    return parse_env_file(text, path)


def parse_env_file(content: bytes, path: Path) -> EnvFile:
    """Return what the bytes of an env file say; raises InvalidConfiguration with a problem for each bad line."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise invalid(
            f"{path}:{line}: byte {content[error.start]:#04x} is not UTF-8. Save the file as UTF-8."
        ) from None
    if text.startswith("\ufeff"):
        raise invalid(
            f"{path}:1: there is a byte order mark, which a shell and systemd take for text. Save the file without."
        )
    every = list(parse_stream(io.StringIO(text)))
    problems = [problem for binding in every if (problem := _problem(binding, path)) is not None]
    if problems:
        raise InvalidConfiguration(tuple(problems))
    bindings = [binding for binding in every if binding.key is not None]
    found = [Variable(binding.key or "", binding.value or "", _line(binding)) for binding in bindings]
    last = {variable.name: variable for variable in found}
    return EnvFile(
        path=path,
        variables=tuple(sorted(last.values(), key=lambda variable: variable.line)),
        repeated=tuple(variable for variable in found if last[variable.name] is not variable),
        unlike_shell=tuple(
            variable
            for variable, binding in zip(found, bindings, strict=True)
            if is_unlike_shell(binding.original.string)
        ),
    )


def _problem(binding: Binding, path: Path) -> Problem | None:
    place = f"{path}:{_line(binding)}"
    if binding.error:
        # The text may hold a password: only what is a name is shown.
        name, equals, _ = binding.original.string.strip().removeprefix("export ").partition("=")
        if equals and _NAME.fullmatch(name := name.strip()):
            return Problem(f"{place}: the value of {name} has a quote that isn't closed, or text after one that is.")
        return Problem(f"{place}: this is no NAME=value line. Begin a comment with '#'.")
    if ends_in_return(binding.original.string):
        return Problem(
            f"{place}: a carriage return alone ends the line, which a shell does not see. Save the file with line feeds."
        )
    if binding.key is None:
        return None
    if not _NAME.fullmatch(name := _key(binding)):
        return Problem(
            f"{place}: {name!r} is no variable name: use letters, digits and '_'. Settings of a queue whose "
            f"name has other characters go into {PREFIX}QUEUES, as JSON."
        )
    if binding.value is None:
        return Problem(
            f"{place}: {binding.key} has no '='. Write {binding.key}=value, or '{binding.key}=' for an empty one."
        )
    if binding.value.endswith("\\") and binding.original.string.rstrip().endswith(binding.value):
        return Problem(
            f"{place}: the value of {binding.key} ends with a backslash, and lines are not continued here. Write one line, or "
            r'quotes around the value, which may then have several; a backslash at its end is written "value\\".'
        )
    if (otherwise := read_otherwise(binding.original.string)) is not None:
        return Problem(f"{place}: a shell and systemd read {binding.key} otherwise: the value {otherwise}")
    if "\0" in binding.value:
        return Problem(f"{place}: the value of {binding.key} has a NUL character, which no environment can hold.")
    return None


def _key(binding: Binding) -> str:
    """Return a variable's name as it stands there: the parser takes quotes away, which nobody else does."""
    key = binding.key or ""
    return f"'{key}'" if f"'{key}'" in binding.original.string.partition("=")[0] else key


def _own_group() -> str:
    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return str(os.getegid())


def _line(binding: Binding) -> int:
    # The parser counts blank lines before a binding as part of it.
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + len(re.findall(r"\r\n|\n|\r", blank))


def _siblings(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix == path.suffix)
    except OSError:
        return ""
    meant = suggestion(path.name, names, shown=lambda name: str(path.parent / name))
    others = f"{path.parent} has {', '.join(names)}." if names else ""
    return f" {meant or others}".rstrip()
