"""Draws a dashboard as SVG over real results, so that a reader of the docs sees what to expect. Development only.

It follows the layout of the dashboard; it does not imitate Grafana pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from funnelcast.dashboards.panels import Bars, Dashboard, Lines, Panel, Stat, Table, Timeline
from funnelcast.dashboards.results import Results, Series
from streams.exporter.catalogue import COHORT_AGES

UNIT, LINE, TOP, PAD = 50, 26, 46, 10
COLOURS = ("#3274d9", "#56a64b", "#e5a10f", "#b877d9", "#e0226e", "#37872d", "#8f3bb8", "#a35200")
INK, FAINT, EDGE = "#1f2329", "#6b7280", "#d8dce3"
MOST_ROWS = 8


def draw(board: Dashboard, results: Results) -> str:
    """The whole dashboard."""
    height = TOP + LINE * sum(row.height for row in board.rows) + PAD
    width = 24 * UNIT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(board.title)}: {escape(board.description)}</title>",
        f'<rect width="{width}" height="{height}" fill="#f4f5f7"/>',
        _text(PAD, 28, text=board.title, size=20, weight=600),
        _text(width - PAD, 28, text=f"funnel {results.funnel}", colour=FAINT, anchor="end"),
    ]
    y = TOP
    for row in board.rows:
        parts.append(_text(PAD, y + 18, text=row.title, size=14, weight=600))
        for panel in row.panels:
            parts += _panel(board, panel, y=y + LINE, results=results)
        y += LINE * row.height
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(board: Dashboard, panel: Panel, *, y: float, results: Results) -> Iterator[str]:
    place = panel.place
    x, top = place.x * UNIT + 4, y + place.y * LINE + 3
    width, height = place.w * UNIT - 8, place.h * LINE - 6
    yield f'<g transform="translate({x} {top:g})"><title>{escape(panel.description)}</title>'
    yield f'<rect width="{width}" height="{height}" rx="4" fill="#ffffff" stroke="{EDGE}"/>'
    yield _text(PAD, 18, text=panel.title, weight=600)
    ask: Callable[..., list[Series]] = results.over_time if type(panel) in (Lines, Timeline) else results.newest
    answers = [ask(board, query) for query in panel.queries]
    yield from _DRAWN[type(panel)](panel, answers, width, height)
    yield "</g>"


def _stat(panel: Panel, answers: Sequence[list[Series]], width: float, height: float) -> Iterator[str]:
    series = [each for part in answers for each in part][:4]
    for number, each in enumerate(series):
        x = width * (2 * number + 1) / (2 * len(series))
        yield _text(
            x,
            height / 2 + 14,
            text=shown(each.last, panel.unit),
            size=22,
            weight=600,
            colour=_colour(panel, each.last),
            anchor="middle",
        )
        if len(series) > 1 or (isinstance(panel, Stat) and panel.is_named):
            yield _text(x, height / 2 + 34, text=_cut(each.name, width / len(series)), colour=FAINT, anchor="middle")


def _colour(panel: Panel, value: float) -> str:
    named = {"green": "#37872d", "yellow": "#c8860a", "red": "#c4162a", "blue": COLOURS[0]}
    steps = panel.steps if isinstance(panel, Stat) else ()
    return named[[name for name, start in steps if start is None or value >= start][-1]]


def _bars(panel: Panel, answers: Sequence[list[Series]], width: float, height: float) -> Iterator[str]:
    series = [each for part in answers for each in part]
    series.sort(key=lambda each: (each.name, 0.0) if each.name[:1].isdigit() else ("", -each.last))
    series = series[:MOST_ROWS]
    most = max((each.last for each in series if math.isfinite(each.last)), default=0) or 1
    step = min(34, (height - 34) / max(len(series), 1))
    names = min(210, width * 0.4)
    for number, each in enumerate(series):
        y = 30 + number * step
        length = (width - names - 90) * max(each.last, 0) / most if math.isfinite(each.last) else 0
        yield _text(names, y + step / 2 + 4, text=_cut(each.name, names), anchor="end")
        yield _rect(names + 8, y=y + 3, width=length, height=step - 6, colour=COLOURS[0])
        yield _text(names + 14 + length, y + step / 2 + 4, text=shown(each.last, panel.unit), colour=FAINT)


def _lines(panel: Panel, answers: Sequence[list[Series]], width: float, height: float) -> Iterator[str]:
    series = [each for part in answers for each in part if any(math.isfinite(value) for _, value in each.points)]
    points = [point for each in series for point in each.points if math.isfinite(point[1])]
    if not points:
        yield _text(width / 2, height / 2, text="nothing", colour=FAINT, anchor="middle")
        return
    left, right, low, high = 62, width - PAD, 32, height - 36
    first, last = min(at for at, _ in points), max(at for at, _ in points)
    scaled, ticks = _scale(panel, [value for _, value in points])

    def place(at: float, value: float) -> str:
        x = left + (right - left) * (at - first) / max(last - first, 1)
        return f"{x:.1f},{high - (high - low) * scaled(value):.1f}"

    for tick in ticks:
        y = high - (high - low) * scaled(tick)
        yield f'<line x1="{left}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="{EDGE}"/>'
        yield _text(left - 6, y + 4, text=shown(tick, panel.unit), colour=FAINT, anchor="end", size=11)
    for number, each in enumerate(series):
        is_dashed = isinstance(panel, Lines) and panel.dashed and each.name.endswith(panel.dashed)
        dash = ' stroke-dasharray="6 5"' if is_dashed else ""
        path = " ".join(place(at, value) for at, value in each.points if math.isfinite(value))
        color = _of(number, series, panel=panel)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dash}/>'
    yield from _legend(panel, series, width=width, height=height)


def _of(number: int, series: Sequence[Series], *, panel: Panel) -> str:
    """The dashed line of a week ago has the colour of its own."""
    dashed = panel.dashed if isinstance(panel, Lines) else ""
    names = list(dict.fromkeys(each.name.removesuffix(dashed).strip() for each in series))
    return COLOURS[names.index(series[number].name.removesuffix(dashed).strip()) % len(COLOURS)]


def _legend(panel: Panel, series: Sequence[Series], *, width: float, height: float) -> Iterator[str]:
    x = 14.0
    for number, each in enumerate(series):
        length = 22 + 6.4 * len(each.name)
        if x + length > width:
            yield _text(x, height - 10, text="...", colour=FAINT)
            return
        yield f'<rect x="{x:g}" y="{height - 17:g}" width="10" height="3" fill="{_of(number, series, panel=panel)}"/>'
        yield _text(x + 14, height - 10, text=each.name, colour=FAINT, size=11)
        x += length


def _scale(panel: Panel, values: Sequence[float]) -> tuple[Callable[[float], float], list[float]]:
    """(value -> 0 to 1, ticks)."""
    most = max(values)
    if isinstance(panel, Lines) and panel.is_logarithmic:
        top = max(math.ceil(math.log10(max(most, 1.1))), 1)
        return (lambda value: max(0.0, math.log10(max(value, 1.0)) / top)), [10.0**power for power in range(top + 1)]
    top_value = _round_up(most) if most > 0 else 1.0
    return (lambda value: max(0.0, value / top_value)), [top_value * part / 4 for part in range(5)]


def _round_up(value: float) -> float:
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * 0.999))


def _table(panel: Panel, answers: Sequence[list[Series]], width: float, height: float) -> Iterator[str]:
    columns = [query.legend for query in panel.queries]
    rows: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for column, part in zip(columns, answers, strict=True):
        for each in part:
            rows.setdefault(tuple(sorted(each.labels.items())), {})[column] = each.last
    names = sorted({name for labels in rows for name, _ in labels}, key=lambda name: (name != "step", name))
    cells = [["stage" if name == "step" else name for name in (*names, *columns)]]
    lines = sorted(rows.items(), key=lambda row: _order(dict(row[0])))
    for labels, values in lines[: int((height - 50) / 22)]:
        texts = [dict(labels).get(name, "") for name in names]
        cells.append(
            [
                *texts,
                *(
                    shown(values[column], "percentunit" if column == "share" else panel.unit)
                    if column in values
                    else "–"
                    for column in columns
                ),
            ]
        )
    needed = [max(len(line[place]) for line in cells) + 3 for place in range(len(cells[0]))]
    widths = [(width - 2 * PAD) * each / sum(needed) for each in needed]
    for number, line in enumerate(cells):
        y = 42 + 22 * number
        yield f'<line x1="{PAD}" x2="{width - PAD:g}" y1="{y + 6}" y2="{y + 6}" stroke="{EDGE}"/>'
        for place, text in enumerate(line):
            x = PAD + sum(widths[:place])
            yield _text(x, y, text=_cut(text, widths[place]), colour=FAINT if not number else INK)


def _order(labels: dict[str, str]) -> tuple[str, int]:
    """Stages in the order of the funnel, ages by their length; the rest stays as it came."""
    return labels.get("step", ""), COHORT_AGES.index(labels["age"]) if "age" in labels else 0


def _timeline(_: Panel, answers: Sequence[list[Series]], width: float, height: float) -> Iterator[str]:
    series = [each for part in answers for each in part][: int((height - 40) / 24)]
    first = min((each.points[0][0] for each in series), default=0.0)
    last = max((each.points[-1][0] for each in series), default=1.0)
    left = width * 0.35
    for number, each in enumerate(series):
        y, scale = 32 + 24 * number, (width - left - PAD) / max(last - first, 1)
        start, end = each.points[0][0], each.points[-1][0]
        yield _text(PAD, y + 13, text=_cut(each.name, left))
        yield _rect(left + (start - first) * scale, y=y, width=max(end - start, 1) * scale, height=17, colour="#e02f44")


_DRAWN = {Stat: _stat, Bars: _bars, Lines: _lines, Table: _table, Timeline: _timeline}


def shown(value: float, unit: str) -> str:
    """A value as a reader wants it."""
    if not math.isfinite(value):
        return "–"
    if unit == "percentunit":
        return f"{100 * value:.1f} %"
    if unit == "s":
        for seconds, name in ((86_400, "d"), (3600, "h"), (60, "min")):
            if value >= seconds:
                return f"{value / seconds:.3g} {name}"
        return f"{value:.3g} s"
    if unit == "reqps":
        return f"{value:,.4g}/s"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.3g}"


def _rect(x: float, *, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{colour}"/>'


def _cut(text: str, width: float) -> str:
    most = max(int(width / 6.6), 3)
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(
    x: float, y: float, *, text: str, size: int = 12, weight: int = 400, colour: str = INK, anchor: str = "start"
) -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(text)}</text>'
