"""The page about security names tests that exist, where it says that they are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security.md"


def test_each_test_that_the_page_names_is_in_the_file_that_it_links_to() -> None:
    named = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", PAGE.read_text())
    missing = [
        f"{path}: {name}"
        for name, path in named
        if not (file := PAGE.parent / path).exists()
        or not re.search(rf"^ *def {name}\(", file.read_text(), re.MULTILINE)
    ]
    assert named
    assert missing == []


def test_each_row_of_the_page_that_says_what_holds_is_shown_by_a_test() -> None:
    tables = PAGE.read_text().split("| what they may try |")[1:]
    rows = [line for table in tables for line in table.split("\n\n")[0].splitlines()[2:]]
    assert rows
    assert [row for row in rows if "[`test_" not in row] == []
