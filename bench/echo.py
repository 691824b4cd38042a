"""A bare ASGI application to compare with: reads the body, answers `{}`. On the collector's own connection, or as
uvicorn serves anybody (`--stock`: httptools, uvloop, no access log)."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import uvicorn
import uvloop

from producers.http.server import serve


async def echo(scope: Any, *, receive: Any, send: Any) -> None:  # noqa: ARG001 - an ASGI application
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


async def _stock(port: int) -> None:
    config = uvicorn.Config(
        echo, port=port, http="httptools", loop="none", lifespan="off", ws="none", access_log=False, log_config=None
    )
    await uvicorn.Server(config).serve()


async def _ours(port: int) -> None:
    await serve(echo, _NoSink(), host="127.0.0.1", port=port, stop=asyncio.Event())


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m bench.echo", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--stock", action="store_true")
    options = parser.parse_args()
    uvloop.run((_stock if options.stock else _ours)(options.port))


if __name__ == "__main__":
    main()
