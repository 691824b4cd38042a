"""The collector's addresses of funnelcast.js. Answers GET only; what the files are stands in `builds`."""

from __future__ import annotations

from typing import Final

from producers.formats.port import Request
from producers.http.messages import ANY_SITE, JSON, Answer, error_body
from producers.snippet.builds import File, by_name, current

PINNED: Final = "/v1/snippet/"
_SHORT: Final = b"public, max-age=300"
_FOR_EVER: Final = b"public, max-age=31536000, immutable"
_SHARED: Final = (
    (b"access-control-allow-origin", b"*"),  # never the caller's own: caches hold one answer for every site
    ANY_SITE,
    (b"vary", b"Accept-Encoding"),
)


async def newest(request: Request) -> Answer:
    """`/funnelcast.js` and its like: the current build, to be asked for again soon."""
    return _answer(request, current().files[request.path.strip("/")], cache_control=_SHORT)


async def pinned(request: Request) -> Answer:
    """`/v1/snippet/<version>-<hash>/<file>`: these bytes and no others, for a year."""
    name, _, file = request.path.removeprefix(PINNED).partition("/")
    build = by_name().get(name)
    if build is None or file not in build.files:
        text = error_body("not_found", "no such build of the snippet", "see `funnelcast snippet`")
        return Answer(404, text, (JSON, (b"cache-control", b"no-store")))
    return _answer(request, build.files[file], cache_control=_FOR_EVER)


def _answer(request: Request, file: File, *, cache_control: bytes) -> Answer:
    headers = [(b"etag", file.etag), (b"cache-control", cache_control), *_SHARED]
    if file.etag in request.headers.get(b"if-none-match", b""):
        return Answer(304, b"", headers)
    headers.append((b"content-type", file.content_type))
    if b"gzip" in request.headers.get(b"accept-encoding", b""):
        headers.append((b"content-encoding", b"gzip"))
        return Answer(200, file.gzipped, headers)
    return Answer(200, file.body, headers)
