"""`funnelcast visitors`: a simulated shop's visitors, live, through a running collector. Composes shop and sender."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Annotated

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import with_settings
from funnelcast.say import say
from funnelcast.settings.sections import ClientSettings

app = typer.Typer(add_completion=False)

FEED_SECONDS = 0.1
_SEEDS = 1 << 31


@app.command(
    epilog="Examples:  funnelcast visitors --key-file server.key  ·  "
    "funnelcast visitors --url http://collector:8080 --key-file server.key --rate 5 --seconds 60"
)
@with_settings(ClientSettings)
def visitors(
    settings: ClientSettings,
    *,
    rate: Annotated[float, typer.Option(min=0.1, max=5_000, metavar="N", help="Events a second, about.")] = 20,
    seconds: Annotated[float | None, typer.Option(min=0, metavar="N", help="Default: until Ctrl-C.")] = None,
) -> None:
    """Send visitors of a simulated shop, as they come: for the presets `sales` and `shop`, and to try what you built.

    They see, click, leave an address, get an offer, pay or give up, within seconds. Their payments need a key of the
    scope server. Each run has visitors of its own.
    """
    from funnelcast.signals import run_until_told

    with contextlib.suppress(KeyboardInterrupt):
        run_until_told(_send(settings, rate, seconds=seconds))


async def _send(settings: ClientSettings, rate: float, *, seconds: float | None) -> None:
    import httpx
    import orjson

    from funnelcast.demo.shop import Shop
    from funnelcast.replay.sender import OrderedSender, Refused
    from schemas.errors import NeedsHumanError

    def on_refused(refused: Refused) -> None:
        raise NeedsHumanError(f"the collector rejected an event: {refused.reason}: {refused.detail}")

    shop = Shop(seed=time.time_ns() % _SEEDS, events_per_second=rate)
    until = None if seconds is None else time.monotonic() + seconds
    async with httpx.AsyncClient() as client:
        url = settings.url.rstrip("/") + "/v1/events"
        sender = OrderedSender(url=url, key=settings.write_key(), client=client, on_refused=on_refused, session=None)
        try:
            while until is None or time.monotonic() < until:
                for event in shop.due(wall_clock_ms()):
                    await sender.add(orjson.dumps(event))
                await sender.flush()
                await asyncio.sleep(FEED_SECONDS)
        finally:
            say(f"{sender.acknowledged:,} events sent", err=True)
