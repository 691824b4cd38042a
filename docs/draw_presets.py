"""Draws docs/presets/NAME.svg from the definitions that ship: stages, deadlines, orders, losses, what makes a deal.

Run `python docs/draw_presets.py` after a preset was changed. A test compares the committed pictures with what this
script draws. It reads the presets and writes nothing but their pictures.
"""

from __future__ import annotations

import textwrap
from html import escape
from pathlib import Path

from schemas.funnel.duration import format_duration
from schemas.funnel.load import load_funnel
from schemas.funnel.model import Funnel
from schemas.funnel.parts import Stage
from schemas.funnel.presets import preset_names

FOLDER = Path(__file__).resolve().parent / "presets"
BOX, HEIGHT, GAP, MARGIN, TOP = 150, 74, 24, 16, 48
COLUMNS = 5
LETTERS = 22
"""That fit into a box."""
PLAIN, ORDER, LOST = "#e8f1fb", "#eaf6ec", "#fbeceb"


def draw(funnel: Funnel) -> str:
    """The picture of a funnel as SVG text."""
    rows = -(-len(funnel.stages) // COLUMNS)
    width = 2 * MARGIN + COLUMNS * BOX + (COLUMNS - 1) * GAP
    losses = _losses(funnel)
    bottom = TOP + rows * (HEIGHT + GAP)
    height = bottom + 16 * len(losses) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(funnel.name)}: its stages from left to right</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5b6b7b"/></marker></defs>',
        _text(MARGIN, 20, funnel.name, 'font-size="16" font-weight="600"'),
        _text(MARGIN, 38, _caption(funnel), 'fill="#555"'),
    ]
    for number, stage in enumerate(funnel.stages):
        parts += [*_arrow(number), *_box(number, stage)]
    parts += [
        f'<rect x="{MARGIN}" y="{bottom}" width="{width - 2 * MARGIN}" height="{16 * len(losses) + 10}" rx="6" '
        f'fill="{LOST}" stroke="#c9a09d"/>'
    ]
    parts += [_text(MARGIN + 10, bottom + 17 + 16 * line, text, "") for line, text in enumerate(losses)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _caption(funnel: Funnel) -> str:
    window = format_duration(funnel.conversion_window_ms)
    if funnel.unit is None:
        return f"one journey of a person for {window} from its first event"
    lead_in = format_duration(funnel.lead_in_ms)
    return f"each {funnel.unit} is a journey for {window}; what came up to {lead_in} before it leads to it"


def _losses(funnel: Funnel) -> list[str]:
    """Which events end a journey early, and under which reason."""
    texts: list[str] = []
    for rule in funnel.lost:
        names = ", ".join(on.event for on in rule.on)
        texts.append(f"lost by {names}: reason " + (rule.reason or "from the property reason"))
    return texts


def _place(number: int) -> tuple[int, int]:
    return MARGIN + number % COLUMNS * (BOX + GAP), TOP + number // COLUMNS * (HEIGHT + GAP)


def _box(number: int, stage: Stage) -> list[str]:
    x, y = _place(number)
    fill = PLAIN if stage.nth is None else ORDER
    lines = textwrap.wrap(stage.name, LETTERS)
    parts = [
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="#5b6b7b"/>',
        *(_text(x + 8, y + 19 + 14 * at, text, 'font-weight="600"') for at, text in enumerate(lines)),
    ]
    if stage.nth is not None:
        parts.append(_text(x + 8, y + 40, "orders" if stage.nth == 1 else f"orders from the {stage.nth}.", ""))
    if stage.abandon_after_ms is not None:
        parts.append(_text(x + 8, y + 55, f"abandoned after {format_duration(stage.abandon_after_ms)}", 'fill="#555"'))
    if stage.stalled_after_ms is not None:
        parts.append(_text(x + 8, y + 68, f"stalled after {format_duration(stage.stalled_after_ms)}", 'fill="#555"'))
    return parts


def _arrow(number: int) -> list[str]:
    """From the stage before."""
    if not number:
        return []
    x, y = _place(number)
    middle = y + HEIGHT // 2
    if number % COLUMNS:
        path = f"M{x - GAP} {middle} {x} {middle}"
    else:
        last, above = _place(number - 1)
        turn = above + HEIGHT + GAP // 2
        path = f"M{last + BOX // 2} {above + HEIGHT} V{turn} H{x + BOX // 2} V{y}"
    return [f'<path d="{path}" fill="none" stroke="#5b6b7b" stroke-width="1.5" marker-end="url(#tip)"/>']


def _text(x: int, y: int, text: str, style: str) -> str:
    return f'<text x="{x}" y="{y}"{style and " " + style}>{escape(text)}</text>'


def main() -> None:
    """Draw them all."""
    for name in preset_names():
        (FOLDER / f"{name}.svg").write_text(draw(load_funnel(name)), encoding="utf-8")


if __name__ == "__main__":
    main()
