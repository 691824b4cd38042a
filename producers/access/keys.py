"""Keys: who may send, as which source, with which scope, and who may read. The file holds hashes only.

Reads and writes that one file; knows nothing of HTTP.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from producers.access.origins import check_origin
from producers.access.prefixes import PREFIXES
from producers.files.durable import OWNER_ONLY, write_atomically
from producers.http.body import RequestError
from producers.ingest.verdicts import Scope, Sender
from schemas.errors import InputFileError, UsageError
from schemas.names import normalise_name
from schemas.reasons import RejectReason
from schemas.traffic import TRAFFIC_CLASSES

_RELOAD_SECONDS = 1.0


class KeyOptionError(UsageError):
    """What a key was to be made with does not fit together; the text says what does."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key at rest: SHA-256 of the random key (32 random bytes need no slow hash), never the key."""

    id: str
    sha256: str
    source: str
    scope: str
    created_at: str
    origins: tuple[str, ...] = ()
    """Pages that may use it, browser scope only; empty: all."""
    allow: tuple[str, ...] = ()
    """Event names that it may send although they are for servers."""
    rate: float | None = None
    """Events a second that it may send; None: as the collector says."""
    app_ids: tuple[str, ...] = ()
    """Public names that stand for the key where a client can send no key (Snowplow's `aid`)."""
    traffic: str | None = None
    """Class of everything that is sent with it (`schemas.traffic`): of staff, of a canary."""
    revoked_at: str | None = None
    """A revoked key stays, so that its user is told so."""

    def __post_init__(self) -> None:
        for name in ("origins", "allow", "app_ids"):  # JSON knows lists only
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def may_send(self) -> bool:
        """Whether it is a write key that was not revoked."""
        return self.revoked_at is None and self.scope != Scope.READ


def hash_key(key: str) -> str:
    """What of a key is kept."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def read_keys(path: Path) -> list[StoredKey]:
    """The stored keys, revoked ones too; none when there is no file. Raises InputFileError."""
    if not path.exists():
        return []
    try:
        keys = [StoredKey(**stored) for stored in json.loads(path.read_text())["keys"]]
        for stored in keys:
            _check(stored)
    except (ValueError, KeyError, TypeError) as error:
        raise InputFileError(
            f"{path} is no file of write keys ({error}); create one with `funnelcast keys create`"
        ) from None
    return keys


def _check(stored: StoredKey) -> None:
    """Raises KeyOptionError, or ValueError for a scope that does not exist."""
    is_browser = Scope(stored.scope) is Scope.BROWSER
    for option, given in (("--origin", stored.origins), ("--allow", stored.allow), ("--app-id", stored.app_ids)):
        if given and not is_browser:
            raise KeyOptionError(f"{option} is for keys of the scope browser, not {stored.scope}")
    if stored.traffic is not None and stored.traffic not in TRAFFIC_CLASSES:
        raise KeyOptionError(f"--traffic {stored.traffic} is none; write one of {' '.join(TRAFFIC_CLASSES)}")
    if stored.rate is not None and not 0 < stored.rate <= 1e9:
        raise KeyOptionError(f"--rate {stored.rate} must be above 0; leave it away for no limit of its own")
    for origin in stored.origins:
        try:
            check_origin(origin)
        except ValueError as error:
            raise KeyOptionError(str(error)) from None


def write_keys(path: Path, keys: Iterable[StoredKey]) -> None:
    """Replace the file at once, readable by its owner only."""
    text = json.dumps({"keys": [members(stored) for stored in keys]}, indent=2)
    write_atomically(path, f"{text}\n".encode(), mode=OWNER_ONLY)


@contextmanager
def _alone_with(path: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile: a key made at the same time must not undo that one is revoked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def members(stored: StoredKey) -> dict[str, Any]:
    """A key as the file holds it. What was not given is left out: files of an older release look the same."""
    return {name: value for name, value in asdict(stored).items() if value not in (None, ())}


def create_key(path: Path, *, source: str, scope: Scope, created_at: str, **options: Any) -> tuple[str, StoredKey]:
    """(the new key, which is shown once; what was added to the file). `options` are the optional members of StoredKey.

    Raises KeyOptionError.
    """
    key = PREFIXES[scope] + secrets.token_urlsafe(32)
    stored = StoredKey(secrets.token_hex(4), hash_key(key), source, scope.value, created_at, **options)
    _check(stored)
    with _alone_with(path):
        write_keys(path, [*read_keys(path), stored])
    return key, stored


def revoke_key(path: Path, key_id: str, *, revoked_at: str = "revoked") -> bool:
    """Mark a key as revoked; False when there is none that is not."""
    with _alone_with(path):
        keys = read_keys(path)
        if not any(one.id == key_id and one.revoked_at is None for one in keys):
            return False
        write_keys(path, [replace(one, revoked_at=revoked_at) if one.id == key_id else one for one in keys])
    return True


@dataclass(frozen=True, slots=True)
class _Known:
    """A key of the file as a request meets it."""

    sha256: str
    sender: Sender
    is_revoked: bool

    def admitted(self) -> Sender:
        if self.is_revoked:
            raise RequestError(
                RejectReason.REVOKED_KEY,
                f"the write key {self.sender.id} was revoked",
                "make another one with `funnelcast keys create`",
            )
        if self.sender.scope is Scope.READ:
            raise RequestError(
                RejectReason.BAD_KEY, "a read key cannot send", "send with a key of the scope browser or server"
            )
        return self.sender


class KeyRing:
    """Answers whose key it is. Reads the file again when it changes (looks once a second), so that a new or revoked key
    needs no restart; a file that has become unreadable leaves the keys as they were.

    `open_sender` is what a request without a key may do, None for nothing. A key that is sent must be one of the
    file's; only where there is no file, nobody can know one, and any key is as good as none.
    """

    def __init__(self, path: Path | None, *, open_sender: Sender | None = None) -> None:
        self._path = path
        self._open_sender = open_sender
        self._by_hash: dict[str, _Known] = {}
        self._by_app: dict[str, _Known] = {}
        self._stamp: tuple[int, int] | None = None
        self._looked = 0.0
        if path is not None:
            self._load(path)

    def sender_of(self, key: str | None) -> Sender | None:
        """The sender of a key, or None where nobody knows it. Raises RequestError for a revoked key or a read key."""
        self._refresh()
        if not key or self._path is None:
            return self._open_sender
        known = self._find(key)
        return None if known is None else known.admitted()

    def sender_of_app(self, app_id: str | None) -> Sender | None:
        """The sender for whose key a public name stands; without such a name, the one who may send without a key."""
        self._refresh()
        known = self._by_app.get(app_id) if app_id else None
        return self._open_sender if known is None else known.admitted()

    def may_read(self, key: str | None) -> bool:
        """Whether it is a read key that was not revoked."""
        self._refresh()
        known = self._find(key) if key else None
        return known is not None and known.sender.scope is Scope.READ and not known.is_revoked

    def _find(self, key: str) -> _Known | None:
        """By its hash, so that the time it takes tells nothing of the keys: who could steer a SHA-256 into a slot next
        to a stored one would still have to invert it. The last comparison takes the same time wherever it differs."""
        digest = hash_key(key)
        known = self._by_hash.get(digest)
        return known if known is not None and hmac.compare_digest(known.sha256, digest) else None

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
        stored = read_keys(path)
        known = [_Known(one.sha256, _sender(one), one.revoked_at is not None) for one in stored]
        self._by_hash = {one.sha256: one for one in known}
        pairs = sorted(zip(stored, known, strict=True), key=lambda pair: not pair[1].is_revoked)
        self._by_app = {app: found for one, found in pairs for app in one.app_ids}  # the newest that is not revoked
        self._stamp = stamp

    @staticmethod
    def _stamp_of(path: Path) -> tuple[int, int] | None:
        if not path.exists():
            return None
        stat = path.stat()
        return stat.st_mtime_ns, stat.st_size


def _sender(stored: StoredKey) -> Sender:
    return Sender(
        stored.source,
        Scope(stored.scope),
        stored.id,
        allow=frozenset(normalise_name(one) for one in stored.allow),
        origins=stored.origins,
        rate=stored.rate,
        traffic=stored.traffic,
    )
