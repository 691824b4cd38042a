"""The directory of a spool: segments of frames, a cursor, the partition counts, a lock. Knows no event loop.

Not for concurrent use: its owner calls it from one thread. What `append` has returned for is on the disk and survives
`kill -9` and a power failure; what the cursor has passed is in Kafka. Laws:

* A segment is written by one process only; after a start a new one is begun.
* The cursor is durable before a segment it has left is removed.
* The torn end of the last segment was never acknowledged and is cut off. Anything else that cannot be read is damage:
  it goes to `quarantine/` and is counted, and reading goes on behind it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from producers.files.durable import cut, read_json, sync, sync_directory, write_all, write_atomically
from producers.files.lock import FileLock
from producers.spool.frames import (
    HEADER_BYTES,
    Frame,
    encode_frame,
    frame_bytes,
    next_frame,
    torn_tail_start,
    whole_frames,
)
from producers.spool.quarantine import Place, Quarantine
from schemas.errors import TryAgainError, UsageError

log = structlog.get_logger("funnelcast.spool")
_SUFFIX: Final = ".spool"
_SEGMENT_BYTES: Final = 16 * 1024 * 1024
_READ_BYTES: Final = 1024 * 1024


class SpoolBusyError(TryAgainError):
    """Another process holds this directory."""


class SpoolUnusableError(UsageError):
    """The directory cannot be made, read or written."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The oldest frames that are not in Kafka yet."""

    frames: list[Frame]
    segment: int
    is_all: bool
    """Nothing stood behind them when they were read."""

    def end(self, count: int | None = None) -> Place:
        """Where the first `count` frames end (all)."""
        return Place(self.segment, self.frames[-1 if count is None else count - 1].end)


class SpoolFiles:
    """Call `open` first. `bytes`, `records` and `oldest_ms` may be read from any thread at any time."""

    def __init__(self, directory: Path, *, now_ms: Callable[[], int] | None = None, segment_bytes: int = 0) -> None:
        self.directory = directory
        self.bytes = 0
        """On disk, what was drained already and not yet removed included."""
        self.records = 0
        """That are not in Kafka yet."""
        self.oldest_ms: int | None = None
        """When the oldest of them was written."""
        self.partitions: dict[str, int] = {}
        """By topic, as remembered from the last time Kafka was reached."""
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._segment_bytes = segment_bytes or _SEGMENT_BYTES
        self._ends: dict[int, int] = {}
        self._cursor = Place(0, 0)
        self._out: int | None = None
        self._number = 0
        self._lock = FileLock(directory / "lock")
        self._quarantine = Quarantine(directory / "quarantine")

    @property
    def quarantined_bytes(self) -> int:
        """Of what could not be read or sent, and is kept for a human."""
        return self._quarantine.bytes

    # -- opening --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the directory and find out what is in it. Raises SpoolBusyError, SpoolUnusableError."""
        try:
            self._open()
        except OSError as error:
            self.close()
            raise SpoolUnusableError(
                f"the spool {self.directory} cannot be used ({error}): give a --state-dir on a disk that lasts, or "
                "--spool-bytes 0 to answer 503 while Kafka is away"
            ) from None

    def _open(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._lock.take():
            raise SpoolBusyError(f"another collector uses the spool {self.directory}; give each its own --state-dir")
        self.partitions = read_json(self.directory / "partitions.json") or {}
        self._recover()

    def _recover(self) -> None:
        numbers = sorted(int(path.stem) for path in self.directory.glob(f"*{_SUFFIX}") if path.stem.isdigit())
        self._cursor = self._read_cursor(numbers)
        for number in numbers:
            if number < self._cursor.segment:
                self._path(number).unlink()
                continue
            is_last = number == numbers[-1]
            self._ends[number] = self._truncate_torn_tail(number) if is_last else self._path(number).stat().st_size
        self._number = max([*numbers, self._cursor.segment])
        self._drop_passed()
        self._count()
        if self.records:
            log.warning("spool_has_records", message="of an earlier run", records=self.records, bytes=self.bytes)

    def _read_cursor(self, numbers: Sequence[int]) -> Place:
        path = self.directory / "cursor.json"
        cursor = read_json(path)
        if cursor is not None and isinstance(cursor.get("segment"), int) and isinstance(cursor.get("offset"), int):
            return Place(cursor["segment"], cursor["offset"])
        if path.exists():
            log.error("spool_cursor_unreadable", message="everything in the spool is sent again", path=str(path))
        return Place(numbers[0] if numbers else 0, 0)

    def _truncate_torn_tail(self, number: int) -> int:
        """Cut off what a crash left of the newest segment's last write. Where it ends."""
        path = self._path(number)
        data = path.read_bytes()
        torn = torn_tail_start(data, self._cursor.offset if number == self._cursor.segment else 0)
        if torn is None:
            return len(data)
        log.warning(
            "spool_tail_truncated",
            message="it was never acknowledged",
            bytes=len(data) - torn,
        )
        cut(path, torn)
        return torn

    def _count(self) -> None:
        self._quarantine.count()
        self.bytes = sum(self._ends.values())
        self.records, self.oldest_ms = 0, None
        place = self._cursor
        while (backlog := self._read_at(place)) is not None:
            self.records += sum(frame.records for frame in backlog.frames)
            self.oldest_ms = self.oldest_ms or backlog.frames[0].written_ms
            place = backlog.end()

    # -- writing --------------------------------------------------------------------------------------------------

    def append(self, payloads: Sequence[tuple[bytes, int]]) -> None:
        """Write (payload, number of records) of several puts with one sync. Raises OSError: nothing of it counts."""
        if self._out is None or self._ends[self._number] >= self._segment_bytes:
            self._begin_segment()
        assert self._out is not None  # noqa: S101 - just begun
        start, now_ms = self._ends[self._number], self._now_ms()
        data = b"".join(encode_frame(one, count=count, written_ms=now_ms, durable=start) for one, count in payloads)
        try:
            write_all(self._out, data, offset=start)
            sync(self._out)
        except OSError:
            self._give_up_segment(start)
            raise
        self._ends[self._number] = start + len(data)
        self.bytes += len(data)
        self.records += sum(count for _, count in payloads)
        self.oldest_ms = self.oldest_ms or now_ms

    def _begin_segment(self) -> None:
        self._close_segment()
        number = self._number + 1
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with contextlib.suppress(FileNotFoundError):
            self._path(number).unlink()  # of a start that got no further
        out = os.open(self._path(number), flags, 0o600)
        try:
            sync_directory(self.directory)
        except OSError:
            os.close(out)
            raise
        self._out, self._number, self._ends[number] = out, number, 0

    def _give_up_segment(self, end: int) -> None:
        """After a failed write or sync nobody knows what of the pages is on the disk: what was synced before stays, and
        the next append begins a new segment."""
        if self._out is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._out, end)
                os.fsync(self._out)
        self._close_segment()

    def _close_segment(self) -> None:
        if self._out is not None:
            with contextlib.suppress(OSError):
                os.close(self._out)
            self._out = None

    # -- reading --------------------------------------------------------------------------------------------------

    def read(self) -> Backlog | None:
        """The oldest frames (about a megabyte) that are not in Kafka; None when all are."""
        backlog = self._read_at(self._cursor)
        if backlog is not None:
            self.oldest_ms = backlog.frames[0].written_ms
        return backlog

    def _read_at(self, place: Place) -> Backlog | None:
        for number in sorted(self._ends):
            offset = place.offset if number == place.segment else 0
            if number < place.segment or offset >= self._ends[number]:
                continue
            if frames := self._frames(number, offset=offset, end=self._ends[number]):
                is_all = frames[-1].end >= self._ends[number] and number == max(self._ends)
                return Backlog(frames, number, is_all)
        return None

    def _frames(self, number: int, *, offset: int, end: int) -> list[Frame]:
        with self._path(number).open("rb", buffering=0) as file:
            header = os.pread(file.fileno(), HEADER_BYTES, offset)
            size = max(_READ_BYTES, frame_bytes(header) or 0)
            frames = _placed(whole_frames(os.pread(file.fileno(), min(size, end - offset), offset)), offset)
            if frames:
                return frames
            remaining = os.pread(file.fileno(), end - offset, offset)
        following = next_frame(remaining, 1)
        self._quarantine.keep(Place(number, offset), remaining[:following])
        return [] if following is None else self._frames(number, offset=offset + following, end=end)

    def commit(self, place: Place, records: int) -> None:
        """Everything before `place` is in Kafka: `records` more than before. Raises OSError: some are sent again."""
        self._write("cursor.json", {"segment": place.segment, "offset": place.offset})
        self._cursor = place
        self.records = max(0, self.records - records)
        if not self.records:
            self.oldest_ms = None
        self._drop_passed()

    def clear(self) -> None:
        """Remove every segment when all is in Kafka; the space is free at once."""
        if self._read_at(self._cursor) is None:
            self._close_segment()
            self.records, self.oldest_ms = 0, None
            self._drop(list(self._ends))

    def _drop_passed(self) -> None:
        at = self._cursor.segment
        self._drop([one for one in self._ends if one < at or (one == at and self._cursor.offset >= self._ends[one])])

    def _drop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if self._out is not None and number == self._number:
                continue
            self.bytes -= self._ends.pop(number)
            with contextlib.suppress(FileNotFoundError):
                self._path(number).unlink()

    # -- the rest -------------------------------------------------------------------------------------------------

    def quarantine_frame(self, backlog: Backlog, frame: Frame) -> None:
        """Keep a frame that Kafka will never take."""
        self._quarantine.keep(Place(backlog.segment, frame.start), frame.payload)

    def remember(self, partitions: dict[str, int]) -> None:
        """Partition counts, for a start while Kafka is away."""
        self._write("partitions.json", partitions)
        self.partitions = dict(partitions)

    def close(self) -> None:
        """Leave the directory to others."""
        self._close_segment()
        self._lock.release()

    def _write(self, name: str, value: object) -> None:
        write_atomically(self.directory / name, json.dumps(value).encode())

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:012d}{_SUFFIX}"


def _placed(frames: Sequence[Frame], offset: int) -> list[Frame]:
    """Frames read from the middle of a file, with their places in the file."""
    return [one._replace(start=one.start + offset, end=one.end + offset) for one in frames]
