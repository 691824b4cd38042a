"""The spool's directory: what is synced comes back in order, torn ends are cut, damage is set aside and said."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from producers.sink.port import Outgoing
from producers.spool import files as spool_files
from producers.spool.files import Backlog, SpoolBusyError, SpoolFiles
from producers.spool.frames import HEADER_BYTES, decode_records, encode_records
from producers.spool.quarantine import Place
from tests.support.thorough import cases

NOW = 1_735_725_600_000


def record(number: int) -> Outgoing:
    return Outgoing("t", number % 4, b"k%d" % number, b"value %d" % number, NOW + number, (("reason", b"r"),))


def opened(directory: Path, **options: Any) -> SpoolFiles:
    files = SpoolFiles(directory, now_ms=lambda: NOW, **options)
    files.open()
    return files


def append(files: SpoolFiles, *numbers: int) -> None:
    """One group, a frame for each number."""
    files.append([(encode_records([record(number)]), 1) for number in numbers])


def numbers_of(backlog: Backlog | None) -> list[int]:
    frames = [] if backlog is None else backlog.frames
    return [int(one.value.split()[1]) for frame in frames for one in decode_records(frame.payload)]


def drain(files: SpoolFiles) -> list[int]:
    """Read and commit everything."""
    numbers: list[int] = []
    while (backlog := files.read()) is not None:
        numbers += numbers_of(backlog)
        files.commit(backlog.end(), sum(frame.records for frame in backlog.frames))
    files.clear()
    return numbers


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.spool"))


def test_records_come_back_whole_and_in_order(tmp_path: Path) -> None:
    files = opened(tmp_path)
    append(files, 1, 2)
    append(files, 3)
    assert (files.records, files.oldest_ms) == (3, NOW)
    backlog = files.read()
    assert backlog is not None
    assert backlog.is_all
    assert decode_records(backlog.frames[0].payload) == [record(1)]
    assert drain(files) == [1, 2, 3]
    assert (files.records, files.bytes, files.oldest_ms, segments(tmp_path)) == (0, 0, None, [])


def test_what_was_not_drained_is_there_after_a_restart_and_what_was_is_not(tmp_path: Path) -> None:
    files = opened(tmp_path)
    append(files, 1, 2)
    append(files, 3)
    backlog = files.read()
    assert backlog is not None
    files.commit(backlog.end(1), 1)
    files.close()
    again = opened(tmp_path)
    assert again.records == 2
    append(again, 4)
    assert drain(again) == [2, 3, 4]
    again.close()
    assert drain(opened(tmp_path)) == []


def test_segments_are_removed_as_they_are_drained(tmp_path: Path) -> None:
    files = opened(tmp_path, segment_bytes=200)
    for number in range(20):
        append(files, number)
    before = len(segments(tmp_path))
    assert before > 5
    backlog = files.read()
    assert backlog is not None
    assert not backlog.is_all
    files.commit(backlog.end(), len(backlog.frames))
    assert len(segments(tmp_path)) == before - 1
    assert numbers_of(backlog) + drain(files) == list(range(20))


def test_numbers_of_segments_are_never_used_twice(tmp_path: Path) -> None:
    for number in range(3):
        files = opened(tmp_path)
        append(files, number)
        assert drain(files) == [number]
        files.close()
    assert opened(tmp_path).read() is None


def test_an_end_torn_at_any_byte_costs_nothing_that_was_synced(tmp_path: Path) -> None:
    files = opened(tmp_path / "whole")
    append(files, 1, 2)
    synced = files.bytes
    append(files, 3, 4)  # the group that is under way when the power fails
    files.close()
    whole = segments(tmp_path / "whole")[0].read_bytes()
    cuts = range(synced, len(whole))
    for cut in cuts[:: len(cuts) // cases(len(cuts), few=30)]:
        directory = tmp_path / str(cut)
        directory.mkdir()
        (directory / segments(tmp_path / "whole")[0].name).write_bytes(whole[:cut])
        spool = opened(directory)
        numbers = drain(spool)
        assert numbers[:2] == [1, 2]
        assert numbers == [1, 2, 3, 4][: len(numbers)]
        assert spool.quarantined_bytes == 0
        append(spool, 5)
        assert drain(spool) == [5]
        spool.close()


@pytest.mark.parametrize("garbage", [b"\0" * 4096, b"\xff" * 100, b"\xf5FC1" * 20], ids=["zeros", "ones", "magics"])
def test_garbage_behind_the_last_sync_is_no_damage(tmp_path: Path, garbage: bytes) -> None:
    files = opened(tmp_path)
    append(files, 1)
    files.close()
    with segments(tmp_path)[0].open("ab") as file:
        file.write(garbage)
    again = opened(tmp_path)
    assert drain(again) == [1]
    assert again.quarantined_bytes == 0


def test_a_later_page_that_reached_the_disk_first_is_no_damage_either(tmp_path: Path) -> None:
    files = opened(tmp_path)
    append(files, 1)
    synced = files.bytes
    append(files, 2, 3)
    files.close()
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[synced + 5] ^= 0xFF  # frame 2 is torn, frame 3 of the same group whole: nobody was told about either
    path.write_bytes(data)
    again = opened(tmp_path)
    assert drain(again) == [1]
    assert again.quarantined_bytes == 0


def test_damage_in_the_middle_is_set_aside_and_what_stands_behind_goes_on(tmp_path: Path) -> None:
    files = opened(tmp_path)
    append(files, 1)
    first = files.bytes
    append(files, 2)
    second = files.bytes
    append(files, 3)
    files.close()
    path = segments(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[first + HEADER_BYTES + 3] ^= 0xFF
    path.write_bytes(data)
    again = opened(tmp_path)
    assert again.quarantined_bytes == second - first
    assert again.records == 2
    assert drain(again) == [1, 3]
    again.close()
    assert opened(tmp_path).quarantined_bytes == second - first  # until somebody takes it away


def test_damage_at_the_end_of_an_older_segment_is_said(tmp_path: Path) -> None:
    files = opened(tmp_path, segment_bytes=1)
    append(files, 1)
    append(files, 2)
    files.close()
    path = segments(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-1])
    again = opened(tmp_path)
    assert again.quarantined_bytes > 0
    assert drain(again) == [2]
    append(again, 3)
    assert drain(again) == [3]


def test_an_unreadable_cursor_sends_again_rather_than_losing(tmp_path: Path) -> None:
    files = opened(tmp_path)
    append(files, 1)
    append(files, 2)
    backlog = files.read()
    assert backlog is not None
    files.commit(backlog.end(1), 1)
    files.close()
    (tmp_path / "cursor.json").write_bytes(b'{"segm')
    assert drain(opened(tmp_path)) == [1, 2]


def test_a_segment_that_the_cursor_has_left_is_not_read_again(tmp_path: Path) -> None:
    files = opened(tmp_path, segment_bytes=1)
    append(files, 1)
    append(files, 2)
    first = segments(tmp_path)[0]
    content = first.read_bytes()
    files.commit(Place(2, 0), 1)
    files.close()
    first.write_bytes(content)  # the crash came between the cursor and the removal
    assert drain(opened(tmp_path)) == [2]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    files = opened(tmp_path)
    with pytest.raises(SpoolBusyError, match="another collector"):
        opened(tmp_path)
    files.close()
    opened(tmp_path).close()


@pytest.mark.parametrize("fails", ["write_all", "sync"])
def test_a_disk_that_fails_costs_only_what_was_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    files = opened(tmp_path)
    append(files, 1)
    with monkeypatch.context() as patch:

        def no_space(descriptor: int, *arguments: Any, **named: Any) -> None:
            os.pwrite(descriptor, b"half of a fra", files.bytes)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(spool_files, fails, no_space)
        with pytest.raises(OSError, match="No space"):
            append(files, 2)
    append(files, 3)
    assert drain(files) == [1, 3]
    assert files.quarantined_bytes == 0


def test_partition_counts_are_remembered(tmp_path: Path) -> None:
    files = opened(tmp_path)
    assert files.partitions == {}
    files.remember({"t": 8})
    files.close()
    assert opened(tmp_path).partitions == {"t": 8}


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    files = opened(tmp_path / "spool")
    append(files, 1)
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert segments(tmp_path / "spool")[0].stat().st_mode & 0o777 == 0o600
