"""The built files of funnelcast.js as they are served and pasted. Reads package files once; knows nothing of HTTP.

`built` holds the current build, `retired` every older one that was released: a page that pins an address with its hash
goes on to work after an upgrade.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

VERSION: Final = "1"
"""Of the snippet's functions and attributes; the hash in an address tells builds of one version apart."""
FILES: Final = {
    "funnelcast.js": b"text/javascript; charset=utf-8",
    "funnelcast.mjs": b"text/javascript; charset=utf-8",
    "funnelcast.d.ts": b"text/plain; charset=utf-8",
}
"""Names and content types."""
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class File:
    """One file, as it is and compressed."""

    body: bytes
    gzipped: bytes
    content_type: bytes
    etag: bytes
    integrity: str
    """For the attribute of that name: Subresource Integrity."""


@dataclass(frozen=True, slots=True)
class Build:
    """The files of one build. `name` is `<version>-<hash>`: other bytes, another name."""

    name: str
    files: dict[str, File]

    def path(self, file: str) -> str:
        """Where the collector serves a file permanently."""
        return f"/v1/snippet/{self.name}/{file}"


@cache
def current() -> Build:
    """The build of this release."""
    return _build(_HERE / "built", VERSION)


@cache
def by_name() -> dict[str, Build]:
    """Every build that is served."""
    retired = sorted(one for one in (_HERE / "retired").glob("*-*") if one.is_dir())
    builds = [*(_build(one, one.name.partition("-")[0]) for one in retired), current()]
    return {build.name: build for build in builds}


def _build(directory: Path, version: str) -> Build:
    bodies = {name: (directory / name).read_bytes() for name in FILES}
    digest = hashlib.sha256(b"\0".join(bodies.values())).hexdigest()[:12]
    return Build(f"{version}-{digest}", {name: _file(body, FILES[name]) for name, body in bodies.items()})


def _file(body: bytes, content_type: bytes) -> File:
    digest = hashlib.sha384(body).digest()
    return File(
        body=body,
        gzipped=gzip.compress(body, 9, mtime=0),
        content_type=content_type,
        etag=b'W/"%s"' % digest.hex()[:24].encode(),
        integrity=f"sha384-{base64.b64encode(digest).decode()}",
    )
