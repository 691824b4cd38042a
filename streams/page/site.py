"""The files of the live page, by the address they are served at, with headers that let a browser do no more than show
numbers: no other site, no inline script or style, no text that becomes markup. Reads files of the package once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from streams.web.pages import Page, PageAnswer, PageRequest, revalidated

HOME: Final = "/"
FOLDER: Final = "/page"
_INDEX: Final = "index.html"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types default",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def site_pages() -> dict[str, Page]:
    """Every file by its path; the page itself at /."""
    static = resources.files("streams.page") / "static"
    return {_address(path): _file(path, file.read_bytes()) for path, file in _files(static)}


def _files(folder: Traversable, before: str = "") -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        path = f"{before}{each.name}"
        if each.is_dir():
            yield from _files(each, f"{path}/")
        elif path.rpartition(".")[2] in _TYPES:
            yield path, each


def _address(path: str) -> str:
    return HOME if path == _INDEX else f"{FOLDER}/{path}"


def _file(path: str, body: bytes) -> Page:
    content_type = _TYPES[path.rpartition(".")[2]]

    async def page(request: PageRequest) -> PageAnswer:
        return revalidated(request, PageAnswer(body, content_type, headers=HEADERS))

    return page
