"""The example of docs/contracts.md for tests, run as its reader would."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_of_a_test_without_a_broker_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs/contracts.md").read_text()
    example = re.search(r"^```python\n# (test_count_words\.py)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert example is not None
    (tmp_path / example[1]).write_text(example[2])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", example[1]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout
