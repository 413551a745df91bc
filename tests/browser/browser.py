"""Chromium without a window: pages of this machine as it lays them out, and pictures of them."""

from __future__ import annotations

import html
import json
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = (
    "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--disable-background-networking", "--no-first-run", "--virtual-time-budget=20000",
)  # fmt: skip
PATIENCE = 120.0  # seconds
SCHEMES = {"light": 1, "dark": 0}  # as Blink numbers them


def found(page: Path, profile: Path) -> Any:
    """Return the JSON that a page's script has left as the text of its element `found`."""
    done = _run(profile, "--dump-dom", page.as_uri())
    _, begin, rest = done.partition('id="found">')
    assert begin, f"{page} was not shown: {done[:2000]}"
    return json.loads(html.unescape(rest.partition("<")[0]))


def picture(page: Path, target: Path, profile: Path, size: tuple[int, int], scheme: str) -> None:
    """Write a PNG of a page, in a window of so many pixels, for who has asked for light or dark."""
    chosen = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
    _run(profile, chosen, f"--screenshot={target}", f"--window-size={size[0]},{size[1]}", page.as_uri())


def _run(profile: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*CHROMIUM, f"--user-data-dir={profile}", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
