"""`funnelcast alerts explain`: what speaks now, with all that is known of it. Reads the store and judges anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import FunnelsOption, JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import FunnelSettings, LinkSettings, RedisSettings, SpaceSettings, ThresholdSettings
from funnelcast.signals import run_until_told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.evidence.story import Story


@dataclass(frozen=True, kw_only=True)
class ExplainSettings(LinkSettings, ThresholdSettings, FunnelSettings, SpaceSettings, RedisSettings):
    """Which space, and which funnels."""


@with_settings(ExplainSettings)
def explain(
    settings: ExplainSettings,
    name: Annotated[
        str | None, typer.Argument(help="Alert, e.g. FunnelConversionDrop. \\[default: all that speak]")
    ] = None,
    *,
    funnel: FunnelsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Print what fell: from what to what, since when, where most, what it costs, what was changed, how to prove it.

    The evidence is made anew from the counters in Redis, as the exporter makes it once a minute.
    """
    names = funnel or ()
    stories = run_until_told(_stories(settings, names))
    chosen = [story for story in stories if name is None or story["name"].lower() == name.lower()]
    if as_json:
        emit(json.dumps({"alerts": chosen}, ensure_ascii=False))
        return
    if not chosen:
        said = ", ".join(names or settings.funnels)
        say(f"nothing speaks{'' if name is None else f' for {name}'} in {said}", err=True)
        return
    emit("\n\n".join(story["text"] for story in chosen))


async def _stories(settings: ExplainSettings, names: Sequence[str]) -> list[Story]:
    from funnelcast.counted_most import chosen_now
    from funnelcast.judging import stories_now
    from schemas.funnel.load import load_funnels
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    redis = settings.need_redis()
    funnels = await chosen_now(redis, settings.space, names=names, configured=load_funnels(settings.funnels))
    client = connect(redis)
    try:
        reader = RedisCounterReader(client, settings.space)
        stories = await stories_now(reader, funnels, clock_ms=wall_clock_ms, threshold=settings.threshold)
        return [settings.links.in_story(story) for story in stories]
    finally:
        await close(client)
