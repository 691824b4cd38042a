"""The bytes of a counters document, of which most are the same as in the answer before. Pure but for that memory.

Names, rates and JSON are what a long answer costs, and of 90 days by 50 channels few cells change between two requests.
So the text of each cell is kept beside what it was made of, and made anew only where that is another. The bytes are
those of `streams.report.document.counters`, a test compares them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import orjson

from schemas.counters import GRAIN_NAMES, REASONS, CellGroup, Grain, SettledFields, bucket_label
from schemas.funnel.model import Funnel
from streams.report.document.counters import canonical_json, document_of, head_of, merge_cells, rated_names
from streams.report.document.names import Labels, Parts, Registers
from streams.report.document.periods import Period, sum_days
from streams.report.document.rates import rates_of
from streams.store.port import PartitionView

_MOST_CELLS: Final = 20_000
"""That are remembered, 3 KB each; the groups that were asked for least recently go first."""


class _Text(NamedTuple):
    """A cell as JSON."""

    parts: Parts
    """What it was made of."""
    counters: orjson.Fragment | None
    """None: it holds nothing but zeros."""
    rates: orjson.Fragment | None


class _Group(NamedTuple):
    """The cells of one bucket and dimension set, by label."""

    serial: int | None
    """Of the cells it was made of (`SettledFields`)."""
    texts: dict[str, _Text]


_Place = tuple[str, str, str, int, bool]
"""(funnel_id, grain, bucket, dimension set, whether it has rates)."""


class TextMemory:
    """Groups by their place, and by what their codes mean. One for everything that one store answers."""

    def __init__(self) -> None:
        self._groups: OrderedDict[_Place, _Group] = OrderedDict()
        self._meanings: dict[str, tuple[Funnel, dict[str, int]]] = {}
        self._cells = 0

    def check(self, funnel: Funnel, registers: Registers) -> None:
        """Forget what was made with other stages, or with other names of reasons."""
        reasons = {name: code for (register, name), code in registers.items() if register == REASONS}
        known = self._meanings.get(funnel.funnel_id)
        if known is None or known[0] is not funnel or known[1] != reasons:
            self._meanings[funnel.funnel_id] = (funnel, reasons)
            for place in [place for place in self._groups if place[0] == funnel.funnel_id]:
                self._cells -= len(self._groups.pop(place).texts)

    def get(self, place: _Place) -> _Group:
        """What is known of a place."""
        return self._groups.get(place) or _Group(None, {})

    def put(self, place: _Place, group: _Group) -> None:
        """Know this of it."""
        before = self._groups.pop(place, None)
        self._groups[place] = group
        self._cells += len(group.texts) - (0 if before is None else len(before.texts))
        while self._cells > _MOST_CELLS and len(self._groups) > 1:
            self._cells -= len(self._groups.popitem(last=False)[1].texts)


def document_text(
    funnel: Funnel,
    views: Sequence[PartitionView],
    *,
    registers: Registers,
    memory: TextMemory,
    rated: Collection[int],
    only: str | None = None,
    period: Period | None = None,
) -> bytes:
    """`canonical_json(document_of(...))` of the same."""
    cells = merge_cells(views)
    cells = cells if period is None else sum_days(cells, period)
    memory.check(funnel, registers)
    labels, with_rates = Labels(funnel, registers), rated_names(rated, period)
    counters: dict[str, dict[str, dict[str, orjson.Fragment]]] = {}
    rates: list[tuple[str, str, str, orjson.Fragment]] = []
    for group, fields in cells.items():
        grain, bucket = _names(group, period)
        place = (funnel.funnel_id, grain, bucket, group[2], grain in with_rates)
        for label, text in _texts(memory, funnel, labels=labels, place=place, fields=fields).items():
            if text.counters is None or only not in (None, label):
                continue
            shown = counters.setdefault(grain, {}).setdefault(bucket, {})
            if label in shown:  # a value that reads like a pair: two cells of one name, which only the document adds up
                return _whole(funnel, views, registers=registers, rated=rated, only=only, period=period)
            shown[label] = text.counters
            if text.rates is not None:
                rates.append((grain, bucket, label, text.rates))
    rates.sort(key=_address)
    document = {"counters": counters, "rates": [each[3] for each in rates], **head_of(funnel, views)}
    try:
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # half an emoji in a name
        return _whole(funnel, views, registers=registers, rated=rated, only=only, period=period)


def _whole(funnel: Funnel, views: Sequence[PartitionView], *, registers: Registers, **asked: Any) -> bytes:
    return canonical_json(document_of(funnel, views, registers=registers, **asked))


def _address(rates: tuple[str, str, str, orjson.Fragment]) -> tuple[str, str, str]:
    return rates[:3]


def _names(group: CellGroup, period: Period | None) -> tuple[str, str]:
    grain, bucket, _ = group
    label = bucket_label(grain, bucket)
    return (
        (GRAIN_NAMES[Grain(grain)], label)
        if period is None
        else (period.value, period.label(date.fromisoformat(label)))
    )


def _texts(
    memory: TextMemory, funnel: Funnel, *, labels: Labels, place: _Place, fields: dict[int, Any]
) -> dict[str, _Text]:
    known, serial = memory.get(place), fields.serial if isinstance(fields, SettledFields) else None
    if serial is not None and serial == known.serial:
        texts = known.texts
    else:
        texts = {}
        for label, parts in labels.parted(place[3], fields).items():
            text = known.texts.get(label)
            same = text is not None and text.parts == parts
            texts[label] = (
                text if text is not None and same else _text(funnel, labels, place=place, label=label, parts=parts)
            )
    memory.put(place, _Group(serial, texts))
    return texts


def _text(funnel: Funnel, labels: Labels, *, place: _Place, label: str, parts: Parts) -> _Text:
    _, grain, bucket, _, is_rated = place
    cell = labels.named(parts)
    if not cell:
        return _Text(parts, None, None)
    counters = orjson.Fragment(canonical_json(cell))
    if not is_rated:
        return _Text(parts, counters, None)
    rates = {"grain": grain, "bucket": bucket, "dim": label, **rates_of(funnel, cell, dim=label)}
    return _Text(parts, counters, orjson.Fragment(canonical_json(rates)))
