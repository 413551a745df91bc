"""Plays the tests marked fuzz with many inputs: `python -m tests.fuzz`, or `make fuzz`.

First come the seeds of fuzz_seeds.txt, which have shown a fault before, then new ones until the hours are over, one at least. A
new one that shows a fault is written into that file, and ends the run. What it shows gets a test of its own, as any fault.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SEEDS = Path(__file__).with_name("fuzz_seeds.txt")


def main() -> int:
    """Return 1 where a seed has shown a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--hours", type=float, default=0.0, help="of trying new seeds")
    parser.add_argument("--inputs", type=int, default=100_000, help="in each test, of each new seed")
    parser.add_argument("tests", nargs="*", default=["tests"], help="files or folders of tests")
    options = parser.parse_args()
    if any(_fails(seed, inputs, options.tests) for seed, inputs in _kept()):
        return 1
    end = time.monotonic() + options.hours * 3600
    while True:
        seed = random.SystemRandom().randrange(1_000_000)
        if _fails(seed, options.inputs, options.tests):
            with SEEDS.open("a") as file:
                file.write(f"{seed} {options.inputs} on {time.strftime('%Y-%m-%d')}, not yet understood\n")
            return 1
        if time.monotonic() >= end:
            return 0


def _kept() -> Iterator[tuple[int, int]]:
    for line in SEEDS.read_text().splitlines():
        if not line.startswith("#"):
            seed, inputs, _ = line.split(maxsplit=2)
            yield int(seed), int(inputs)


def _fails(seed: int, inputs: int, tests: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "fuzz", "--seed", str(seed), "--inputs", str(inputs), *tests]
    print(*command[1:], flush=True)
    status = subprocess.run(command, check=False).returncode
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(status)
    return status != pytest.ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
