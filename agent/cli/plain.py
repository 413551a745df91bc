"""What others have written, made harmless for a terminal: tasks, brokers and other processes choose its signs.

A sign that is not printable could clear the screen, ring, forge a row, or turn the direction of what follows. It is shown as
Python writes it in a literal. JSON needs none of this: it has escapes of its own, and says exactly what there is.
"""

from __future__ import annotations


def plain(text: str) -> str:
    r"""Return a text on one line, of printable characters only: a newline becomes `\n`, an escape `\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def plain_lines(text: str) -> str:
    """Return a text of several lines with the rest of it made plain, for where lines can't be taken for the agent's own."""
    return "\n".join(map(plain, text.split("\n")))
