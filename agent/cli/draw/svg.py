"""A picture as SVG: one file without scripts, fonts or links, whose colours follow the reader's light or dark scheme.

Colours stand in classes, not in variables, which some viewers do not know: these show the light ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from agent.cli.draw.measure import is_certain
from agent.cli.draw.model import Tone
from agent.cli.draw.picture import Frame, Label, Picture, Sign, Way

_MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
_SANS = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif"
_SHARED = f"""
text{{font-family:{_SANS};white-space:pre}}
.heading,.name{{font-family:{_MONO};font-weight:600}}
.heading{{font-size:13px}} .name{{font-size:12px}} .detail{{font-size:11px}} .small{{font-size:10px}}
.way{{fill:none;stroke-width:1.4}} .way.open{{stroke-dasharray:4 3}}
.bare{{fill:none;pointer-events:all}}
.open{{stroke-dasharray:4 3}}"""

# ground, panel, its edge, box, its edge, text, muted text, line
_LIGHT = ("#ffffff", "#f6f8fa", "#d0d7de", "#ffffff", "#b6c0cb", "#1f2328", "#57606a", "#6e7781")
_DARK = ("#0d1117", "#151b23", "#30363d", "#1f2630", "#4a5462", "#e6edf3", "#9aa5b1", "#7d8896")
_TONES_LIGHT = {"good": "#1a7f37", "busy": "#0a5dc2", "passing": "#8a5a00", "bad": "#c2182b", "off": "#57606a"}
_TONES_DARK = {"good": "#4cc764", "busy": "#6cb2ff", "passing": "#e0aa3a", "bad": "#ff7b72", "off": "#9aa5b1"}

# The shape of each tone, around 0,0 and within 5 pixels.
_SHAPES = {
    Tone.GOOD: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
    Tone.BUSY: "M0 -5L5 0L0 5L-5 0z",
    Tone.PASSING: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0zM-2.3 0a2.3 2.3 0 1 1 4.6 0a2.3 2.3 0 1 1 -4.6 0z",
    Tone.BAD: "M0 -5L5 4.5L-5 4.5z",
    Tone.OFF: "M-4 -4H4V4H-4zM-2 -2V2H2V-2z",
}


def svg(picture: Picture, title: str) -> str:
    """Return a picture as the text of an SVG file; `title` says what it shows to who can't see it."""
    width, height = _number(picture.width), _number(picture.height)
    dark = _colours(_DARK, _TONES_DARK)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{_SHARED}\n{_colours(_LIGHT, _TONES_LIGHT)}\n@media (prefers-color-scheme:dark){{\n{dark}\n}}\n</style>",
        *map(_frame, picture.frames),
        *(line for way in picture.ways for line in _way(way)),
        *map(_sign, picture.signs),
        *map(_label, picture.labels),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _colours(colours: tuple[str, ...], tones: dict[str, str]) -> str:
    ground, panel, edge, box, border, text, muted, line = colours
    rules = [
        f".ground{{fill:{ground}}} .panel{{fill:{panel};stroke:{edge}}} text{{fill:{text}}}",
        f".detail,.small{{fill:{muted}}} .way{{stroke:{line}}} .head{{fill:{line}}}",
        f".source,.exchange,.queue,.worker,.pool,.tasks{{fill:{box};stroke:{border}}}",
        f".cell{{fill:none;stroke:{muted}}} .cell.busy{{fill:{tones['busy']};stroke:{tones['busy']}}}",
        *(
            f".sign.{tone},.detail.{tone},.small.{tone}{{fill:{colour}}} .worker.{tone}{{stroke:{colour}}}"
            for tone, colour in tones.items()
        ),
    ]
    return "\n".join(rules)


def _frame(frame: Frame) -> str:
    area = frame.area
    corner = {"ground": 0, "panel": 8, "exchange": 14, "cell": 1.5}.get(frame.role.partition(" ")[0], 5)
    size = f'width="{_number(area.width)}" height="{_number(area.height)}" rx="{corner}"'
    place = f'x="{_number(area.x)}" y="{_number(area.y)}" {size}'
    if not frame.more:
        return f'<rect class="{frame.role}" {place}/>'
    return f'<rect class="{frame.role}" {place}><title>{escape(frame.more)}</title></rect>'


def _way(way: Way) -> Iterator[str]:
    points = [f"{_number(x)} {_number(y)}" for x, y in way.points]
    role = "way open" if way.is_open else "way"
    yield f'<path class="{role}" d="M{"L".join(points)}"/>'
    if way.has_head:
        x, y = way.points[-1]
        yield f'<path class="head" d="M{_number(x)} {_number(y)}l-7 -3.5v7z"/>'


def _sign(sign: Sign) -> str:
    shape = _SHAPES[sign.tone]
    place = f"translate({_number(sign.x)} {_number(sign.y)})"
    return f'<path class="sign {sign.tone.value}" fill-rule="evenodd" transform="{place}" d="{shape}"/>'


def _label(label: Label) -> str:
    role = f"{label.font.role} {label.tone}".rstrip()
    anchor = ' text-anchor="middle"' if label.is_centred else ""
    # signs of whatever font: they are held to the width that was reckoned
    length = "" if is_certain(label.text) else f' textLength="{_number(label.width)}" lengthAdjust="spacingAndGlyphs"'
    place = f'x="{_number(label.x)}" y="{_number(label.y)}"'
    return f'<text class="{role}" {place}{anchor}{length} pointer-events="none">{escape(label.text)}</text>'


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
