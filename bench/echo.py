"""A bare ASGI application on the collector's own server, to compare with: reads the body, answers `{}`."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import uvloop

from producers.server import serve


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer everything with 200."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


class _NoSink:
    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_: object) -> None:
        pass


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m bench.echo", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port

    async def run() -> None:
        await serve(echo, _NoSink(), host="127.0.0.1", port=port, stop=asyncio.Event())

    uvloop.run(run())


if __name__ == "__main__":
    main()
