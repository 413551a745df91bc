r"""What other programs make of a line of an env file: a shell (`set -a; . FILE`), and systemd (`EnvironmentFile=FILE`).

The agent takes no line that it would read one way and both of them another:

    NAME=a\b      they drop the backslash
    NAME='a\\b'   they keep both
    NAME="a\nb"   they keep it as it is
    NAME="a"#b    they take #b for a part of the value
    NAME=a        followed by what looks like a space, such as U+00A0, is longer for them

What one of them alone reads otherwise is taken. Of a shell, `agent check` says where. Of systemd it is a ` # comment` after
a value, which it takes for a part of it; `export`, for which it ignores the line; and a comment line that ends with a
backslash, to which it adds the next one.
"""

from __future__ import annotations

import re

from agent.guest.values import dataclass

_LINE = re.compile(
    r"""
    (?P<before> \s* (?:export[^\S\r\n]+)? [^=]* = [^\S\r\n]* )
    (?: '(?P<single>(?:\\.|[^'\\])*)' (?P<after_single>.*)
      | "(?P<double>(?:\\.|[^"\\])*)" (?P<after_double>.*)
      | (?P<bare>[^\r\n]*) (?P<after_bare>.*) )
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"[ \t]+#[^\r\n]*")
_STRANGE = re.compile(r"[^\S \t\r\n]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_OTHERS_IN_SINGLE = "\\'"
_OTHERS_IN_DOUBLE = "'abfnrtv$`\r\n"
_RETURN = re.compile(r"\r(?!\n)")
_SHELLS_OWN_IN_DOUBLE = re.compile(r"[$`]|\\\x7f")
_SHELLS_OWN = re.compile(r"""[$`'";&|<>()\s]|(?:^|:)~""")


@dataclass(frozen=True, slots=True)
class _Written:
    """How a variable is written.

    quote: of its value: ', " or none.
    value: as it stands between the quotes, or up to a comment.
    before, after: what stands on both sides of the value, quotes left out.
    """

    quote: str
    value: str
    before: str
    after: str


def read_otherwise(text: str) -> str | None:
    """Return what a shell and systemd both read otherwise in a variable, and what to do; or None.

    text: its line as it stands in the file, or its lines where the value has several, with what is blank before them.
    """
    line = _written(text)
    strange = _STRANGE.search(line.before + line.after if line.quote else line.before + line.value)
    if strange:
        return f"has U+{ord(strange[0]):04X} beside it, which is no space for them. Take it away, or put it into the quotes."
    if line.quote and line.after.startswith("#"):
        return "has a '#' behind its quotes, which is a part of it for them. Put a space between, or all of it into the quotes."
    if not line.quote and "\\" in line.value:
        return "has a backslash, which they drop where there are no quotes. Put the value into single quotes."
    if line.quote == "'" and _escaped(line.value, _OTHERS_IN_SINGLE):
        return (
            "has a backslash before another one, or before a quote, and single quotes, in which they keep it. Put the value "
            r"into double quotes, and write \\ for a backslash and \" for a quote."
        )
    if line.quote == '"' and (escaped := _escaped(line.value, _OTHERS_IN_DOUBLE)):
        what = "a backslash at the end of a line" if escaped in "\r\n" else f"\\{escaped}"
        return (
            f'has {what} in double quotes, in which they know other escapes. There write only \\\\ for a backslash and \\" for '
            "a quote, and a line break as it is; or put the value into single quotes."
        )
    return None


def ends_in_return(text: str) -> bool:
    """Say whether a line, of a variable or not, ends in a carriage return without a line feed, as no shell's does."""
    line = _written(text)
    return _RETURN.search(line.before + line.after) is not None


def is_unlike_shell(text: str) -> bool:
    """Say whether a shell reads a variable otherwise than the agent, or takes its line for something else."""
    line = _written(text)
    name, _, blank = line.before.lstrip().partition("=")
    apart = name.endswith((" ", "\t")) or (bool(blank) and bool(line.quote or line.value))
    own = {"": _SHELLS_OWN, '"': _SHELLS_OWN_IN_DOUBLE}.get(line.quote)
    return apart or "\r" in line.before + line.after or (own is not None and own.search(line.value) is not None)


def _escaped(value: str, others: str) -> str:
    """Return the first character behind a backslash that is one of others, or nothing."""
    return next((found[1] for found in _ESCAPE.finditer(value) if found[1] in others), "")


def _written(text: str) -> _Written:
    found = _LINE.fullmatch(text)
    if found is None:  # a comment, or nothing
        return _Written("", "", text, "")
    before, single, double, bare = found.group("before", "single", "double", "bare")
    if bare is None:
        quote, value, after = (
            ("'", single, found["after_single"]) if double is None else ('"', double, found["after_double"])
        )
        return _Written(quote, value, before, _COMMENT.sub("", after))
    if before[-1] != "=" and bare.startswith("#"):
        return _Written("", "", before, found["after_bare"])
    return _Written("", _COMMENT.sub("", bare).rstrip(" \t"), before, found["after_bare"])
