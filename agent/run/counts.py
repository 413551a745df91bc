"""The file by which the counts of an instance's tasks outlast the agent: from its end to its next start.

It is beside that of the suspects. An agent takes it when it begins, and leaves one when it ends as it was told to: a count that
is written now and then would be lower at the next start than what was shown before a crash. So after a crash all begin at 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from agent.decide.counts import Counts
from agent.guest.decoding import parse, read
from agent.run.logs import Log
from agent.run.suspects import LARGEST, state_folder


class CountsFile:
    """The counts of an instance, by queue, as they were left last."""

    def __init__(self, instance: str, folder: Path, log: Log) -> None:
        """Take the place; `folder` is the instance's runtime folder."""
        self._path = state_folder(folder) / f"{instance}.counts"
        self._log = log

    def take(self) -> Mapping[str, Counts]:
        """Return what was left, and leave nothing; nothing where there is no file, or one that is none of ours."""
        try:
            with self._path.open("rb") as file:
                found = parse(file.read(LARGEST))
            self._path.unlink()
            return {str(queue): read(Counts, each) for queue, each in found.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, AttributeError) as error:
            self._log.trouble("counts-not-read", file=self._path, reason=error)
        return {}

    def leave(self, counts: Mapping[str, Counts]) -> None:
        """Write them for the next agent."""
        beside = self._path.with_suffix(".counts.new")
        try:
            beside.write_text(json.dumps({queue: asdict(each) for queue, each in counts.items()}))
            beside.replace(self._path)
        except OSError as error:  # as on a full disk
            self._log.trouble("counts-not-kept", file=self._path, reason=error)
