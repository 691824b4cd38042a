"""Days as lines: a picture (PNG) and a row of characters. Knows no store."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

WIDTH, HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 44, 34
_COLOURS: Final = ("#3274d9", "#e5a10f", "#56a64b", "#b877d9")
_INK, _FAINT, _EDGE = "#1f2329", "#6b7280", "#d8dce3"
_SPARKS: Final = "▁▂▃▄▅▆▇█"


def sparks(lines: Mapping[str, Sequence[float]]) -> str:
    """One row for each line."""
    wide = max((len(name) for name in lines), default=0)
    return "\n".join(f"{name:<{wide}} {_row(values)} {values[-1]:,.0f}" for name, values in lines.items() if values)


def _row(values: Sequence[float]) -> str:
    top = max(values) or 1.0
    return "".join(_SPARKS[round(max(0.0, value) / top * (len(_SPARKS) - 1))] for value in values)


def draw(title: str, days: Sequence[str], *, lines: Mapping[str, Sequence[float]]) -> bytes:
    """A PNG. Each line has a scale of its own up to its highest day: what is seen is the shape, its top is written."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH, HEIGHT), "#ffffff")
    pen, font, small = ImageDraw.Draw(image), ImageFont.load_default(15), ImageFont.load_default(12)
    pen.text((_LEFT, 6), title, fill=_INK, font=font)
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for part in range(5):
        y = bottom - (bottom - _TOP) * part // 4
        pen.line((_LEFT, y, right, y), fill=_EDGE)
        pen.text((_LEFT - 8, y), f"{part * 25} %", fill=_FAINT, font=small, anchor="rm")
    if days:
        pen.text((_LEFT, bottom + 8), days[0], fill=_FAINT, font=small)
        pen.text((right, bottom + 8), days[-1], fill=_FAINT, font=small, anchor="ra")
    _draw_lines(pen, lines, font=small)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw_lines(pen: Any, lines: Mapping[str, Sequence[float]], *, font: Any) -> None:
    bottom, width, left = HEIGHT - _BOTTOM, WIDTH - _RIGHT - _LEFT, _LEFT
    for (name, values), colour in zip(lines.items(), _COLOURS, strict=False):
        top = max(values, default=0) or 1.0
        points = [
            (_LEFT + width * number / max(1, len(values) - 1), bottom - (bottom - _TOP) * max(0.0, value) / top)
            for number, value in enumerate(values)
        ]
        if len(points) > 1:
            pen.line(points, fill=colour, width=3, joint="curve")
        label = f"{name} (top {max(values, default=0):,.0f}, last {values[-1] if values else 0:,.0f})"
        pen.rectangle((left, 30, left + 10, 38), fill=colour)
        pen.text((left + 15, 27), label, fill=_FAINT, font=font)
        left += 24 + int(pen.textlength(label, font=font))
