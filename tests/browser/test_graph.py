"""The pictures of `agent graph` as a browser shows them: nothing lies on anything else, whatever the fonts are.

They are left in .cache/graph as PNG, light and dark, for who looks at them.
"""

from __future__ import annotations

import html
import struct
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from agent.cli.draw.layout import layout
from agent.cli.draw.mermaid import mermaid
from agent.cli.draw.stacks import Sight, graph_of
from agent.cli.draw.svg import svg
from tests.browser.browser import SCHEMES, found, picture
from tests.node import ROOT
from tests.unit.drawings import ALL

PICTURES = ROOT / ".cache" / "graph"
MERMAID = ROOT / ".cache" / "mermaid" / "package" / "dist" / "mermaid.min.js"
HAIR = 0.75  # pixels that two labels may share: glyphs that lean out of their boxes

LOOK = """
<pre id="found"></pre><script>
const box = (each) => { const it = each.getBoundingClientRect(); return [it.left, it.top, it.right, it.bottom]; };
const own = document.querySelector("svg");
document.getElementById("found").textContent = JSON.stringify({
    whole: box(own),
    labels: [...own.querySelectorAll("text")].map((each) => [each.textContent, ...box(each)]),
    boxes: [...own.querySelectorAll("rect:not(.ground):not(.panel):not(.cell)")].map(box),
    scripts: document.querySelectorAll("script, img, iframe").length,
});
</script>
"""

DRAW = """
<pre class="mermaid">%s</pre><pre id="found"></pre><script>%s</script><script>
mermaid.initialize({startOnLoad: false, securityLevel: "strict"});
const tell = (what) => { document.getElementById("found").textContent = JSON.stringify(what); };
mermaid.run().then(
    () => tell({text: document.querySelector(".mermaid").textContent, scripts: document.querySelectorAll("script").length}),
    (error) => tell({error: String(error)}));
</script>
"""


def shown(body: str, folder: Path) -> Path:
    page = folder / "page.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><style>body{{margin:0}}</style>{body}', "utf-8", "surrogateescape"
    )
    return page


def drawn(sights: tuple[Sight, ...]) -> str:
    return svg(layout(graph_of(sights)), "title")


def meets(one: list[float], other: list[float]) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    return across > HAIR and min(one[3], other[3]) - max(one[1], other[1]) > HAIR * 4  # a line has room above and below


@pytest.mark.parametrize("name", sorted(ALL))
def test_no_two_labels_overlap_and_nothing_leaves_the_picture(name: str, tmp_path: Path) -> None:
    seen = found(shown(drawn(ALL[name]) + LOOK, tmp_path), tmp_path / "profile")
    left, top, right, bottom = seen["whole"]
    labels = seen["labels"]
    outside = [each for each in labels if each[1] < left or each[2] < top or each[3] > right or each[4] > bottom]
    assert outside == []
    assert [(one[0], other[0]) for one, other in combinations(labels, 2) if meets(one[1:], other[1:])] == []
    leaving = [
        each[0] for each in labels for box in seen["boxes"]
        if meets(each[1:], box) and (each[1] < box[0] - HAIR or each[3] > box[2] + HAIR)
    ]  # fmt: skip
    assert leaving == [], "a label is half in a box"
    assert seen["scripts"] == 1, "that of the page itself"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", sorted(set(ALL) - {"none"}))
def test_a_picture_is_as_light_or_dark_as_its_reader_likes_it(name: str, scheme: str, tmp_path: Path) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    whole = layout(graph_of(ALL[name]))
    page = tmp_path / "page.svg"
    page.write_text(svg(whole, name), "utf-8", "surrogateescape")
    target = PICTURES / f"{name}-{scheme}.png"
    target.unlink(missing_ok=True)
    picture(page, target, tmp_path / "profile", (int(whole.width) + 1, int(whole.height) + 1), scheme)
    assert struct.unpack(">II", target.read_bytes()[16:24]) == (int(whole.width) + 1, int(whole.height) + 1)


@pytest.mark.parametrize("name", ["one", "kinds", "five", "fleet", "long", "none"])
def test_mermaid_draws_it(name: str, tmp_path: Path) -> None:
    text = html.escape(mermaid(graph_of(ALL[name])))
    seen: dict[str, Any] = found(shown(DRAW % (text, MERMAID.read_text()), tmp_path), tmp_path / "profile")
    assert "error" not in seen, seen
    assert seen["scripts"] == 2, "those of the page itself"
