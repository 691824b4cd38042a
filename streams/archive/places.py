"""Where an archive's files lie: a local folder, or a folder of any store that fsspec knows (`s3://bucket/archive`).

A place lists its files with their versions and puts a file in place in one step, if it is still of the version that the
writer knows: whoever wrote in between is noticed, and nothing is written over it. Knows nothing of what is in a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from schemas.errors import TryAgainError, UsageError

_ADDRESS: Final = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
"""A path of two letters and more before its colon: `C:/` is a disk. The command line makes `s3:/` of `s3://`."""
_FILE: Final = re.compile(r"day=\d{4}-\d{2}-\d{2}/\d{6,}\.parquet")
_REPLACING: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})
"""Stores in which an upload takes the place of an object in one step. In others a file is uploaded beside it and
renamed."""
_HASHES: Final = ("ETag", "etag", "md5Hash")
_TIMES: Final = ("mtime", "modified", "last_modified", "created", "size")


class Place(Protocol):
    """A folder of files `day=YYYY-MM-DD/NUMBER.parquet`."""

    name: str
    """As people write it."""
    is_local: bool

    def address(self, file: str) -> str:
        """As DuckDB reads a file, or a pattern of files."""

    def register(self, duck: Any) -> None:
        """Make a connection of DuckDB know the addresses."""

    def versions(self) -> dict[str, str]:
        """Every file, and what tells one content of it from another."""

    def scratch(self) -> Path:
        """A local folder for what is being written; within `writing`."""

    def put(self, written: Path, file: str, *, version: str | None) -> None:
        """Put a local file, which is gone then, in place of a version (None: of no file) in one step. Raises UsageError
        where there is another version by now, and TryAgainError where the store is away."""

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """Until its end this process alone should write. Raises UsageError."""


def is_address(path: str | Path) -> bool:
    """Whether it names a store and not a local path."""
    return _ADDRESS.fullmatch(str(path)) is not None and not Path(path).exists()


def place_of(path: str | Path) -> Place:
    """The place of a path or address. Raises UsageError."""
    named = _ADDRESS.fullmatch(str(path)) if is_address(path) else None
    if named is None:
        return LocalPlace(Path(path))
    scheme, path = named.groups()
    return LocalPlace(Path(f"/{path}")) if scheme in ("file", "local") else RemotePlace(f"{scheme}://{path}")


def other_writer(name: str) -> UsageError:
    """What the one that comes second is told."""
    return UsageError(f"{name} is being written by another process")


class LocalPlace:
    """A folder of this machine, or mounted."""

    is_local = True

    def __init__(self, path: Path) -> None:
        self.name, self._path = str(path), path

    def address(self, file: str) -> str:
        return str(self._path / file)

    def register(self, duck: Any) -> None:
        """Nothing to do."""

    def versions(self) -> dict[str, str]:
        versions = {}
        for path in self._path.glob("day=*/*.parquet"):
            stat = path.stat()
            versions[str(path.relative_to(self._path))] = f"{stat.st_ino} {stat.st_mtime_ns} {stat.st_size}"
        return versions

    def scratch(self) -> Path:
        return self._path

    def put(self, written: Path, file: str, *, version: str | None) -> None:
        if self.versions().get(file) != version:
            raise other_writer(self.name)
        path = self._path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        _sync(written)
        written.replace(path)
        _sync(path.parent)

    @contextmanager
    def writing(self) -> Iterator[None]:
        self._path.mkdir(parents=True, exist_ok=True)
        with (self._path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise other_writer(self.name) from None
            for left in self._path.glob("*.tmp"):
                left.unlink()
            yield


class RemotePlace:
    """A folder of a store. Two writers are told apart by the versions of the files alone: the second one's write is
    refused."""

    is_local = False

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")
        self._scratch: Path | None = None
        try:
            import fsspec

            self._store, self._root = fsspec.core.url_to_fs(self.name, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise UsageError(f"{self.name}: {error}; for s3:// pip install 'funnelcast[s3]'") from None
        protocols = self._store.protocol
        self._protocols = {protocols} if isinstance(protocols, str) else set(protocols)

    def address(self, file: str) -> str:
        return f"{self.name}/{file}"

    def register(self, duck: Any) -> None:
        duck.execute("SET enable_external_file_cache = false")  # files are replaced under their names
        duck.register_filesystem(self._store)

    def versions(self) -> dict[str, str]:
        with _answering(self.name):
            listed: Mapping[str, Mapping[str, Any]] = self._store.find(self._root, detail=True)
        files = {path[len(self._root) :].strip("/"): info for path, info in listed.items()}
        return {file: _version(info) for file, info in files.items() if _FILE.fullmatch(file)}

    def scratch(self) -> Path:
        assert self._scratch is not None  # noqa: S101 - within `writing`
        return self._scratch

    def put(self, written: Path, file: str, *, version: str | None) -> None:
        path = f"{self._root}/{file}"
        if self.versions().get(file) != version:
            raise other_writer(self.name)
        with _answering(self.name):
            if "s3" in self._protocols:
                self._put_conditionally(written, path, version=version)
            elif self._protocols & _REPLACING:
                self._store.put_file(str(written), path)
            else:
                self._store.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._store.put_file(str(written), f"{path}.tmp")
                self._store.mv(f"{path}.tmp", path)
        written.unlink()

    def _put_conditionally(self, written: Path, path: str, *, version: str | None) -> None:
        """S3 itself compares the versions: no other write finds a place between the look and the write. A client that
        loses the answer writes again, and meets what it wrote: that is no other writer."""
        condition = {"mode": "create"} if version is None else {"IfMatch": version}
        try:
            self._store.put_file(str(written), path, **condition)
        except OSError as error:
            if not isinstance(error, FileExistsError) and "pre-condition" not in str(error):
                raise
            if self._store.cat_file(path) != written.read_bytes():
                raise other_writer(self.name) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="funnelcast-archive-") as scratch:
            self._scratch = Path(scratch)
            yield


def _version(info: Mapping[str, Any]) -> str:
    """What the store says of the content of a file: its hash, else when it was written and its size."""
    hashes = [str(info[name]) for name in _HASHES if info.get(name)]
    return hashes[0] if hashes else " ".join(str(info[name]) for name in _TIMES if info.get(name) is not None)


@contextmanager
def _answering(name: str) -> Iterator[None]:
    """Name the store in what goes wrong with it."""
    try:
        yield
    except UsageError:
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise UsageError(f"{name}: {error}") from error
    except Exception as error:  # each store has errors of its own
        raise TryAgainError(f"{name}: {error}") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
