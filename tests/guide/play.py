"""This is the producer that plays rows against a fleet, all at once: python -m tests.guide.play POOL STORE FOLDER < KEYS."""

import json
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.guide.fleet import Fleet
from tests.guide.rows import cases

AT_ONCE = 6  # rows; a nested chord holds two of the 10 connections of a pool, so that more may wait for one another


def main(pool: str, store: str, folder: str) -> None:
    """Play the rows whose keys come as JSON; print what went wrong in each, as JSON."""
    fleet, known, keys = Fleet(pool, store, Path(folder)), cases(), json.load(sys.stdin)
    assert fleet.app is not None  # made in the main thread, as docs/workflows.md has it

    def played(key: str) -> str:
        try:
            known[key](fleet)
        except BaseException:  # noqa: BLE001  it is told
            return traceback.format_exc()
        return ""

    with ThreadPoolExecutor(AT_ONCE) as rows:
        outcomes = dict(zip(keys, rows.map(played, keys), strict=True))
    print(f"outcomes {json.dumps(outcomes)}")


main(*sys.argv[1:])
