r"""Values in Prometheus's text format: for each name a HELP and a TYPE line, then one line for each set of labels.

The form is that of https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4. A value that is not known
has no line: 0 would be a statement. In labels a backslash, a quote and a newline are escaped; all else stands as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from agent.decide.status import Status
from agent.guest.values import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNTER, GAUGE = "counter", "gauge"

Sample = tuple[Mapping[str, str], float | None]  # labels and the value; None where it is not known


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of an instance on a host; `status` is None where no daemon answers for it."""

    instance: str
    host: str
    status: Status | None


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: its name, COUNTER or GAUGE, what it is, and its samples for one instance."""

    name: str
    kind: str
    text: str
    samples: Callable[[Sight], Iterable[Sample]]


def exposition(families: Iterable[Family], sights: Iterable[Sight]) -> str:
    """Return all that is known of instances; a family of which nothing is known is left out."""
    seen = tuple(sights)
    return "".join(line + "\n" for family in families for line in _lines(family, seen))


def _lines(family: Family, sights: tuple[Sight, ...]) -> Iterator[str]:
    known = [
        f"{family.name}{{{_labels(labels)}}} {_number(value)}"
        for sight in sights
        for labels, value in family.samples(sight)
        if value is not None
    ]
    if known:
        yield f"# HELP {family.name} {family.text}"
        yield f"# TYPE {family.name} {family.kind}"
        yield from known


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    text = value.encode(errors="backslashreplace").decode()  # which may have what UTF-8 has not
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    number = float(value)
    return str(int(value)) if number.is_integer() else repr(number)
