"""Prometheus's text format, read as strictly as Prometheus reads it: what it would refuse is an AssertionError."""

from __future__ import annotations

import re

_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
_LINE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)\{{((?:{_LABEL}(?:,(?!\}})|(?=\}})))+)\}} (\S+)")
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Samples = dict[str, list[tuple[dict[str, str], float]]]


def parsed(text: str) -> Samples:
    """Return the samples by their names, each with its labels; no two are the same, and each name is explained once."""
    found: Samples = {}
    explained: dict[str, set[str]] = {}
    assert text == "" or text.endswith("\n")
    for line in text.split("\n")[:-1]:
        if line.startswith("# "):
            kind, name, _ = line[2:].split(" ", 2)
            assert kind not in explained.setdefault(name, set()), f"twice: {line}"
            assert name not in found, f"after its samples: {line}"
            explained[name].add(kind)
            continue
        parts = _LINE.fullmatch(line)
        assert parts is not None, f"Prometheus would refuse {line!r}"
        name, labels = parts[1], {key: _meant(value) for key, value in re.findall(_LABEL, parts[2])}
        assert explained.get(name) == {"HELP", "TYPE"}, line
        assert list(found)[-1:] == [name] or name not in found, f"apart from its own: {line}"
        assert labels not in [other for other, _ in found.setdefault(name, [])], f"twice: {line}"
        found[name].append((labels, float(parts[5])))
    return found


def _meant(value: str) -> str:
    return re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], value)
