"""The file by which what is known of deaths outlasts the agent: tasks that ran when workers ended, and how often.

It is in the state folder that systemd gives the instance, else in its runtime folder, and is written at each such death, as a
whole. A file that can't be written or read costs a line in the log: then a task may have some deaths more. One that can't be
written is tried again every RETRY seconds, at the looks at the queues, and `agent status` says so meanwhile.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from agent.decide.blame import MOST_SUSPECTS, Suspects
from agent.decide.keeping import Keeping, fault
from agent.guest.decoding import parse, read
from agent.guest.messages import Suspect
from agent.run.logs import Log

STATE_VARIABLE = "STATE_DIRECTORY"  # systemd.exec(5): folders with ':' between them
LARGEST = 4_194_304  # bytes; 100 queues with 100 suspects each are 3 MB
RETRY = 10.0  # seconds until a file that could not be written is tried again


def state_folder(runtime: Path) -> Path:
    """Return the folder for what outlasts the agent, where its runtime folder is `runtime`."""
    state = os.environ.get(STATE_VARIABLE, "").partition(":")[0]
    return Path(state) if state else runtime


class SuspectsFile:
    """The suspects of an instance, by queue, as they were kept last."""

    def __init__(self, instance: str, folder: Path, log: Log) -> None:
        """Take the place; `folder` is the instance's runtime folder."""
        self._path = state_folder(folder) / f"{instance}.suspects"
        self._log = log
        self._kept: Mapping[str, Suspects] = {}
        self._again = math.inf  # by the monotonic clock
        self.keeping = Keeping(str(self._path.parent))

    def load(self) -> Mapping[str, Suspects]:
        """Return what was kept; nothing where there is no file, or one that is none of ours."""
        try:
            with self._path.open("rb") as file:
                found = parse(file.read(LARGEST))
            self._kept = {str(queue): _suspects(each) for queue, each in found.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, AttributeError, TypeError) as error:
            self._log.trouble("suspects-not-read", file=self._path, reason=error)
        return self._kept

    def keep(self, suspects: Mapping[str, Suspects]) -> None:
        """Write what is known, where that is another than before, or it is time to try it again."""
        is_known = suspects is self._kept
        if is_known and time.monotonic() < self._again:
            return
        self._kept = suspects
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text(
                json.dumps({queue: [asdict(each) for each in known] for queue, known in suspects.items()})
            )
            beside.replace(self._path)
        except OSError as error:  # as on a full disk
            self._again = time.monotonic() + RETRY
            was, self.keeping = self.keeping, replace(self.keeping, fault=fault(self._path.parent, error))
            if not is_known or was != self.keeping:
                self._log.trouble("suspects-not-kept", file=self._path, reason=error, text=self.keeping.fault)
        else:
            self._again = math.inf
            if self.keeping.fault:
                self.keeping = replace(self.keeping, fault="")
                self._log.fact("suspects-kept", file=self._path)


def _suspects(entries: list[dict[str, object]]) -> Suspects:
    return tuple(read(Suspect, {"was_alone": False, **each}) for each in entries)[-MOST_SUSPECTS:]
