"""Write keys: who may send, as which source, with which scope. The file holds hashes only.

Reads and writes that one file; knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from producers.ingest import Scope, Sender

_PREFIX = {Scope.BROWSER: "fcb_", Scope.SERVER: "fcs_", Scope.HISTORICAL: "fch_"}
_RELOAD_SECONDS = 1.0


class InputFileError(ValueError):
    """A file that cannot be used; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A write key at rest: SHA-256 of the random key (32 random bytes need no slow hash), never the key."""

    id: str
    sha256: str
    source: str
    scope: str
    created_at: str


def hash_key(key: str) -> str:
    """What of a key is kept."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> list[StoredKey]:
    """The stored keys; none when there is no file. Raises InputFileError."""
    if not path.exists():
        return []
    try:
        found = [StoredKey(**one) for one in json.loads(path.read_text())["keys"]]
        for one in found:
            Scope(one.scope)
    except (ValueError, KeyError, TypeError) as error:
        raise InputFileError(
            f"{path} is no file of write keys ({error}); create one with `funnelcast keys create`"
        ) from None
    return found


def write_keys(path: Path, keys: list[StoredKey]) -> None:
    """Replace the file at once, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"keys": [asdict(one) for one in keys]}, file, indent=2)
        file.write("\n")
    fresh.replace(path)


def create_key(path: Path, *, source: str, scope: Scope, created_at: str) -> tuple[str, StoredKey]:
    """(the new key, which is shown once; what was added to the file)."""
    key = _PREFIX[scope] + secrets.token_urlsafe(32)
    stored = StoredKey(
        id=secrets.token_hex(4), sha256=hash_key(key), source=source, scope=scope.value, created_at=created_at
    )
    write_keys(path, [*read_keys(path), stored])
    return key, stored


def revoke_key(path: Path, key_id: str) -> bool:
    """Remove a key by its id; False when there is none."""
    keys = read_keys(path)
    left = [one for one in keys if one.id != key_id]
    if len(left) == len(keys):
        return False
    write_keys(path, left)
    return True


class KeyRing:
    """Answers whose key it is. Reads the file again when it changes (looks once a second), so that a new or revoked key
    needs no restart; a file that has become unreadable leaves the keys as they were.

    `open_sender` is what a request without a key may do, None for nothing. A key that is sent must be one of the
    file's; only where there is no file, nobody can know one, and any key is as good as none.
    """

    def __init__(self, path: Path | None, *, open_sender: Sender | None = None) -> None:
        self._path = path
        self._open_sender = open_sender
        self._senders: list[tuple[str, Sender]] = []
        self._stamp: tuple[int, int] | None = None
        self._looked = 0.0
        if path is not None:
            self._load(path)

    def sender_of(self, key: str | None) -> Sender | None:
        """The sender of a key, or None where the request must be refused."""
        self._refresh()
        if not key:
            return self._open_sender
        digest = hash_key(key)
        found: Sender | None = None
        for stored, sender in self._senders:
            if hmac.compare_digest(stored, digest):
                found = sender
        return found if self._path is not None else self._open_sender

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._path is None or now - self._looked < _RELOAD_SECONDS:
            return
        self._looked = now
        try:
            if self._stamp_of(self._path) != self._stamp:
                self._load(self._path)
        except (OSError, InputFileError):
            return

    def _load(self, path: Path) -> None:
        stamp = self._stamp_of(path)
        self._senders = [(one.sha256, Sender(one.source, Scope(one.scope), one.id)) for one in read_keys(path)]
        self._stamp = stamp

    @staticmethod
    def _stamp_of(path: Path) -> tuple[int, int] | None:
        if not path.exists():
            return None
        stat = path.stat()
        return stat.st_mtime_ns, stat.st_size
