"""Reports: the counters document of a funnel, or the part of it that was asked for, from whatever is stored now.

Reads through `CounterReader` and never writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from schemas.counters import HOUR_MS, MINUTE_MS, VALUE_CHARS, Grain
from schemas.errors import UsageError
from schemas.funnel.duration import parse_duration_ms
from schemas.funnel.model import Funnel
from streams.report.document import RATED_GRAINS, Document, document_of
from streams.store.port import CounterReader, PartitionView, StoreRefusedError

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class ReportError(UsageError):
    """A part that cannot be reported; the text says what to ask for instead."""


@dataclass(frozen=True, slots=True)
class ReportPart:
    """What of the document is wanted; nothing set: all of it."""

    grain: Grain | None = None
    since_ms: int | None = None
    """Buckets that end after this instant."""
    until_ms: int | None = None
    """Buckets that begin before this instant."""
    dim: str | None = None
    """A dimension (`channel`), a declared pair (`channel|manager`), one cell (`channel=google`); empty: the whole."""

    @property
    def has_times(self) -> bool:
        """Whether it is bounded in time."""
        return self.since_ms is not None or self.until_ms is not None


async def report(reader: CounterReader, funnel: Funnel, part: ReportPart | None = None) -> Document:
    """The document, or a part, with the rates of the cells asked for.

    Raises ReportError for a part that does not exist, StoreRefusedError where another definition is counted under the
    funnel's name and version, StoreUnavailableError.
    """
    part = part or ReportPart()
    grains, dimsets = _grains(part), _dimsets(funnel, part.dim)
    stored = (await reader.fingerprints()).get(funnel.funnel_id)
    if stored not in (None, funnel.fingerprint):
        raise StoreRefusedError(
            f"funnel {funnel.name} version {funnel.version} is counted by another definition; "
            "report with the file the worker has, or give the changed one a new version"
        )
    views = await _views(reader, funnel, part, grains=grains, dimsets=dimsets)
    return document_of(
        funnel,
        views,
        await reader.registers(funnel.funnel_id),
        rated=RATED_GRAINS if part.grain is None else grains,
        only=_cell_label(part.dim) if part.dim and "=" in part.dim else None,
    )


async def _views(
    reader: CounterReader, funnel: Funnel, part: ReportPart, *, grains: Sequence[Grain], dimsets: list[int] | None
) -> list[PartitionView]:
    since, until = _bounds(funnel, part.since_ms, 0), _bounds(funnel, part.until_ms, 1)
    found = [
        await reader.view(partition, funnel.funnel_id, grains=grains, dimsets=dimsets, since=since, until=until)
        for partition in await reader.partitions()
    ]
    return [view for view in found if view is not None]


def _grains(part: ReportPart) -> tuple[Grain, ...]:
    if part.grain is None:
        return (Grain.MINUTE, Grain.HOUR, Grain.DAY) if part.has_times else tuple(Grain)
    if part.grain == Grain.TOTAL and part.has_times:
        raise ReportError(
            "totals are of all time: leave --since and --until away, or ask for --grain day, hour or minute"
        )
    return (part.grain,)


def _dimsets(funnel: Funnel, dim: str | None) -> list[int] | None:
    """Dimension sets of a dimension, a pair or a cell; None: all."""
    if dim is None:
        return None
    names = [dimension.name for dimension in funnel.dimensions]
    sets = {"": 0, **{name: number for number, name in enumerate(names, 1)}}
    sets |= {"|".join(pair): number for number, pair in enumerate(funnel.pairs, len(names) + 1)}
    asked = "|".join(part.partition("=")[0] for part in dim.split("|"))
    if asked not in sets:
        known = ", ".join(name for name in sets if name) or "none"
        raise ReportError(f"{dim!r} is not counted in funnel {funnel.name}; dimensions and pairs are: {known}")
    return [sets[asked]]


def _cell_label(dim: str) -> str:
    parts = [one.partition("=") for one in dim.split("|")]
    return "|".join(f"{name}={value.strip()[:VALUE_CHARS].casefold()}" for name, _, value in parts)


def _bounds(funnel: Funnel, at_ms: int | None, is_end: int) -> dict[int, int] | None:
    """By grain the bucket an instant lies in; of an end, the last bucket that begins before it."""
    if at_ms is None:
        return None
    at_ms -= is_end
    return {
        Grain.MINUTE: at_ms // MINUTE_MS,
        Grain.HOUR: at_ms // HOUR_MS,
        Grain.DAY: datetime.fromtimestamp(at_ms / 1000, ZoneInfo(funnel.timezone)).date().toordinal() - _EPOCH_ORDINAL,
    }


def parse_instant_ms(text: str, *, timezone: str, now_ms: int) -> int:
    """Epoch milliseconds of a date or time (`2025-01-31`, RFC 3339; without an offset in `timezone`), of epoch
    milliseconds, or of a duration back from `now_ms` (`24h`). Raises ReportError."""
    stripped = text.strip()
    if stripped.isdigit() and len(stripped) >= 11:
        return int(stripped)
    try:
        return now_ms - parse_duration_ms(stripped)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(stripped)
    except ValueError:
        raise ReportError(
            f"{text!r} is no time; write 2025-01-31, 2025-01-31T10:00:00Z, 24h (ago), or epoch milliseconds"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)
