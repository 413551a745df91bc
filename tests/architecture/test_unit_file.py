"""The systemd unit and its documentation say the same."""

import re

from tests.node import ROOT

FOLDER = ROOT / "deploy" / "systemd"
_SAID_ONCE = re.compile(r"(Description|Documentation|.*DirectoryMode)")  # by itself, or with the folder


def test_every_line_of_the_unit_is_explained() -> None:
    unit = (FOLDER / "celery-agent@.service").read_text()
    _, _, table = (FOLDER / "README.md").read_text().partition("## Each line of the unit")
    explained = set(re.findall(r"`(\w+)=", table.partition("Left out on purpose")[0]))
    names = {line.partition("=")[0] for line in unit.splitlines() if "=" in line and not line.startswith("#")}
    assert {name for name in names - explained if not _SAID_ONCE.fullmatch(name)} == set()
    assert explained - names == {"XDG_CACHE_HOME", "CELERY_AGENT_OPERATORS"}  # which Environment= sets
