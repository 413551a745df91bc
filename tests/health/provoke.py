"""python -m tests.health.provoke [--write FILE] [NAME…]: provoke causes of trouble; print what each place says.

With --write the tables take the place of those in a file, where all was played and went well. The exit status is 1 where a
place does not say what it must.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.health.causes import CAUSES, DISK, Cause
from tests.health.command import run
from tests.health.stage import PATIENCE, Stage
from tests.health.told import LOG, PLACES, STATUS, SYSTEMD, Systemd, told, without_time
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

BEGIN = "<!-- made by `make causes` -->\n"
LASTS = 8.0  # seconds for which a cause lasts after all has been said, in which workers try four times and more
Said = Mapping[str, tuple[str, ...]]


def provoke(cause: Cause, broker: RabbitMQ) -> Said:
    """Return what each place says of a cause provoked on an instance of its own; AssertionError where it must say more."""
    with tempfile.TemporaryDirectory(prefix="celery-agent-causes-") as folder:
        stage, systemd = Stage(Path(folder), broker, "prefork", {}, cause.way), Systemd(Path(folder) / "notify")
        try:
            return _provoke(cause, stage, systemd)
        finally:
            systemd.close()
            stage.close()
            if (Path(folder) / DISK).exists():
                subprocess.run(["umount", Path(folder) / DISK], check=True)


def _provoke(cause: Cause, stage: Stage, systemd: Systemd) -> Said:
    cause.before(stage)
    state = {"STATE_DIRECTORY": str(stage.folder / cause.state)} if cause.state else {}
    stage.node.start(NOTIFY_SOCKET=str(systemd.path), **state)
    if not cause.begins_refused:
        stage.node.wait_until_consuming()
        stage.answers()
    before = 0 if cause.begins_refused else len(stage.log())
    cause.provoke(stage)
    told_by: dict[str, Said] = {}

    def missing() -> list[str]:
        told_by["all"] = told(stage, systemd, before)
        return [
            f"{place}: {part}"
            for place, parts in cause.says.items()
            for part in parts
            if not any(part in line for line in told_by["all"][place])
        ]

    try:
        wait_until(lambda: not missing(), PATIENCE)
    except AssertionError as error:
        lines = "\n".join(f"{place}: {line}" for place, each in told_by["all"].items() for line in each)
        raise AssertionError(f"{cause.name}: not said: {missing()}\n{lines}") from error
    if cause.seldom:
        time.sleep(LASTS)
        again = Counter(without_time(line) for line in told(stage, systemd, before)[LOG] if "Process" in line)
        often = {line: count for line, count in again.items() if count > 1}
        assert not often, f"{cause.name}: the log says again and again: {often}"
    said = told_by["all"]
    if cause.mend is not None:
        cause.mend(stage)
        places = {place: cause.says[place] for place in (STATUS, SYSTEMD)}
        wait_until(lambda: not _says(told(stage, systemd, before), places), PATIENCE, f"{cause.name}: nothing is said")
    return said


def _says(said: Said, places: Said) -> bool:
    return any(part in line for place, parts in places.items() for part in parts for line in said[place])


def _provoked(cause: Cause, broker: RabbitMQ) -> tuple[str, list[str]]:
    return "".join(_section(cause, provoke(cause, broker))), []


def _section(cause: Cause, said: Said) -> Iterator[str]:
    """Yield the table of a cause: of each place the lines that have what it must say."""
    yield f"\n## {cause.name.capitalize()}\n\n| place | says |\n|---|---|\n"
    for place in PLACES:
        parts = cause.says.get(place, ())
        lines = dict.fromkeys(line for part in parts for line in said[place] if part in line)
        yield f"| {place} | {'<br>'.join(map(_plain, lines)) or 'nothing of it'} |\n"


def _plain(line: str) -> str:
    """Return a line without what is another in each run."""
    return f"`{without_time(line).replace('`', '')}`".replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(run(CAUSES, _provoked, BEGIN))
