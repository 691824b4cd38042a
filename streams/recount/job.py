"""What is recounted and where, what a recount has done, and who is told how it goes."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.funnel.load import parse_funnel
from schemas.funnel.model import Funnel
from schemas.kafka import Kafka
from schemas.topics import Topics
from streams.archive.files import ArchiveFolder
from streams.archive.reader import ArchiveReader
from streams.defaults import MAX_PERSON_EVENTS, WATERMARK_DELAY_MS
from streams.recount.comparison import VersionsCompared
from streams.recount.history import Archive


@dataclass(frozen=True, kw_only=True)
class RecountJob:
    """What is counted, and where."""

    kafka: Kafka
    redis: str
    space: str
    definition: str
    """The funnel, as JSON."""
    watermark_delay_ms: int = WATERMARK_DELAY_MS
    max_person_events: int = MAX_PERSON_EVENTS
    processes: int | None = None
    """That count; None: as many as are worth it."""
    archive: str | None = None

    @property
    def funnel(self) -> Funnel:
        """The definition."""
        return parse_funnel(self.definition, origin="the funnel to be recounted")

    @property
    def events(self) -> str:
        """The topic."""
        return Topics(self.space).events

    def opened_archive(self) -> Archive | None:
        """The archive, where there is one."""
        return None if self.archive is None else ArchiveReader(ArchiveFolder(self.archive))


@dataclass(slots=True)
class Outcome:
    """What a recount has done."""

    funnel_id: str
    before: str | None = None
    """The version that was counted until then."""
    partitions: int = 0
    records: int = 0
    from_archive: int = 0
    missing: dict[int, int] = field(default_factory=dict)
    """By partition: records before the first that could be read, where some are gone."""
    counting_seconds: float = 0.0
    pause_seconds: float | None = None
    """How long counting stood still for the switch."""
    is_switched: bool = False
    compared: VersionsCompared | None = None


class Watcher:
    """Is told how it goes."""

    def begins(self, what: str, total: int) -> None:
        """A part of the work."""

    def counted(self, records: int) -> None:
        """So many more."""
