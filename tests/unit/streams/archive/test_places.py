"""An archive in a store that is no local folder, and two processes that write one archive."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from schemas.errors import UsageError
from streams.archive import files, places
from streams.archive.files import ArchiveFolder, Row
from streams.archive.places import LocalPlace, RemotePlace, is_address, place_of
from streams.archive.reader import ArchiveReader
from tests.support.rows import rows


def row(partition: int, offset: int) -> Row:
    return Row(partition, offset, 1_750_000_000_000, f"u:p{offset}", f'{{"id":"e{offset}","name":"click"}}')


def offsets(reader: ArchiveReader, partition: int, end: int) -> list[int]:
    """Of the records of a partition, up to an offset."""
    found, at = [], 0
    while at < end:
        records, at = reader.read(partition, start=at, end=end)
        found += [record.offset for record in records]
    return found


@pytest.fixture(params=["local", "memory", "renamed"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder, an object store, and a store that has to rename."""
    if request.param == "renamed":
        monkeypatch.setattr(places, "_REPLACING", frozenset())
    return str(tmp_path / "archive") if request.param == "local" else f"memory://{uuid4().hex}/archive"


def test_what_is_written_is_read_and_grows(address: str) -> None:
    folder = ArchiveFolder(address)
    with folder.writing():
        folder.add("2025-06-15", [row(0, 3), row(1, 7)])
        folder.add("2025-06-15", [row(0, 4)])
        folder.add("2025-06-16", [row(0, 5), row(1, 8)])
    again = ArchiveFolder(address)
    assert [file.name for file in again.files()] == ["day=2025-06-15/000001.parquet", "day=2025-06-16/000001.parquet"]
    assert again.cursor() == {0: 6, 1: 9}
    reader = ArchiveReader(again)
    assert reader.open([0, 1, 2]) == {0: 3, 1: 7}
    assert offsets(reader, 0, 6) == [3, 4, 5]
    assert offsets(reader, 1, 9) == [7, 8]
    assert offsets(reader, 0, 5) == [3, 4], "again, and not to the end of a file"
    assert len(list(again.events())) == 5
    with folder.writing():
        assert folder.erase(["u:p4"]) == 1
    assert offsets(ArchiveReader(again), 0, 6) == [3, 5]


def test_a_file_that_grows_between_its_listing_and_its_reading_gives_each_record_once(tmp_path: Path) -> None:
    writer, reader = ArchiveFolder(tmp_path), ArchiveReader(ArchiveFolder(tmp_path))
    with writer.writing():
        writer.add("2025-06-15", [row(0, offset) for offset in range(3)])
        reader.open([1])  # lists the file, and takes nothing of it
        writer.add("2025-06-15", [row(0, offset) for offset in range(3, 6)])
    assert offsets(reader, 0, 6) == [0, 1, 2, 3, 4, 5]


def test_a_file_that_was_taken_away_leaves_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "GROWS_UP_TO", 1)
    folder = ArchiveFolder(tmp_path)
    with folder.writing():
        for offset in range(2):
            folder.add("2025-06-15", [row(0, offset)])
        (tmp_path / "day=2025-06-15" / "000001.parquet").unlink()
        folder.add("2025-06-15", [row(0, 2)])
    assert [file.name for file in folder.files()] == ["day=2025-06-15/000002.parquet", "day=2025-06-15/000003.parquet"]


def test_the_second_of_two_writers_writes_nothing(address: str) -> None:
    first, second = ArchiveFolder(address), ArchiveFolder(address)
    with first.writing():
        first.add("2025-06-15", [row(0, 0)])
        assert second.cursor() == {0: 1}
        first.add("2025-06-15", [row(0, 1)])
        with pytest.raises(UsageError, match="written by another process"), second.writing():
            second.add("2025-06-15", [row(0, 1)])
    assert len(list(ArchiveFolder(address).events())) == 2


def test_a_write_over_another_version_is_refused(address: str, tmp_path: Path) -> None:
    place = place_of(address)
    with place.writing():
        for text, version in (("one", None), ("two", "?")):
            written = tmp_path / "written"
            written.write_text(text)
            if version is None:
                place.put(written, "day=2025-06-15/000001.parquet", version=None)
                assert not written.exists()
                continue
            for stale in (version, None):
                with pytest.raises(UsageError, match="another process"):
                    place.put(written, "day=2025-06-15/000001.parquet", version=stale)
    assert len(place.versions()) == 1


@rows(
    "text, is_remote",
    [
        ("s3://bucket/archive", True),
        (Path("s3://bucket/archive"), True),
        ("gs://bucket", True),
        ("C:/archive", False),
        ("/data/archive", False),
        ("archive", False),
        ("file:///data/archive", True),
    ],
)
def test_addresses_are_told_from_paths(text: str | Path, is_remote: bool) -> None:
    assert is_address(text) is is_remote


def test_a_store_that_is_not_known_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"nosuch://x.*nosuch.*pip install"):
        place_of("nosuch://x/archive")


def test_file_urls_are_local() -> None:
    local, remote = place_of("file:///data/archive"), place_of(Path("memory://x/y"))
    assert isinstance(local, LocalPlace)
    assert isinstance(remote, RemotePlace)
    assert (local.name, remote.name) == ("/data/archive", "memory://x/y")


@rows("is_known", [False, True])
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a store it is gone for whoever is in the middle of it; what takes its place has another version."""
    url = f"memory://{uuid4().hex}/archive"
    writer, folder, place = ArchiveFolder(url), ArchiveFolder(url), place_of(url)
    reader = ArchiveReader(folder)
    assert isinstance(place, RemotePlace)
    with writer.writing():
        writer.add("2025-06-15", [row(0, 0), row(0, 1)])
    if is_known:
        folder.files()
    (name,), versions = place.versions(), place.versions()
    gone: list[bytes] = []

    def address(file: str) -> str:
        if not gone:
            gone.append(place._store.cat_file(f"{place._root}/{name}"))
            place._store.rm_file(f"{place._root}/{name}")
        return place.address(file)

    def looked() -> dict[str, str]:
        if gone and not place.versions():
            place._store.pipe_file(f"{place._root}/{name}", gone[0])
        return place.versions()

    monkeypatch.setattr(folder._place, "address", address)
    monkeypatch.setattr(folder._place, "versions", looked)
    assert offsets(reader, 0, 2) == [0, 1]
    assert gone
    assert looked() != versions


def test_a_file_that_is_none_of_an_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "day=2025-06-15").mkdir()
    (tmp_path / "day=2025-06-15" / "000001.parquet").write_text("no Parquet")
    with pytest.raises(UsageError, match=r"000001\.parquet"):
        ArchiveFolder(tmp_path).files()
