"""`funnelcast annotate`: what was changed and when, so that a later reader of the numbers knows why they moved."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from funnelcast.clock import wall_clock_ms
from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import FunnelSettings, RedisSettings, SpaceSettings
from schemas.errors import UsageError

if TYPE_CHECKING:
    from streams.state import Annotation
    from streams.store.annotations import RedisAnnotations
    from streams.store.reader import RedisCounterReader

app = typer.Typer(add_completion=False)
_MOST_CHARS = 500


@dataclass(frozen=True, kw_only=True)
class AnnotateSettings(FunnelSettings, SpaceSettings, RedisSettings):
    """Which space, and which funnels there are."""


@app.command(
    epilog='Examples:  funnelcast annotate "prices +10 %"  ·  funnelcast annotate "new form" --at 2025-01-31 '
    "--funnel sales  ·  funnelcast annotate --list --json  ·  funnelcast annotate --remove 3f2a9c41  ·  "
    "funnelcast report --changes"
)
@with_settings(AnnotateSettings)
def annotate(
    settings: AnnotateSettings,
    *,
    text: Annotated[str | None, typer.Argument(help="What was changed.")] = None,
    at: Annotated[
        str | None, typer.Option(help="When: 2025-01-31, RFC 3339, 24h (ago), epoch ms. \\[default: now]")
    ] = None,
    funnel: Annotated[
        str | None, typer.Option(help="Name of the configured funnel it is about. \\[default: all of them]")
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Print all annotations of the space.")] = False,
    remove: Annotated[str | None, typer.Option(metavar="ID", help="Take one away.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Store what was changed, for every report of the space. The same said twice is one annotation."""
    if sum((text is not None, list_all, remove is not None)) != 1:
        raise UsageError('write what was changed (funnelcast annotate "prices +10 %"), or --list, or --remove ID')
    if text is None and (at or funnel):
        raise UsageError("--at and --funnel are of a new annotation: write what was changed")
    if list_all:
        _print(_run(settings, lambda _, reader: reader.annotations()), as_json=as_json)
    elif remove is not None:
        if not _run(settings, lambda store, _: store.remove_annotation(remove)):
            raise UsageError(f"there is no annotation {remove!r}; see funnelcast annotate --list")
        say(json.dumps({"removed": remove}) if as_json else f"removed {remove}")
    else:
        annotation = _annotation(settings, text or "", at=at, funnel=funnel)
        _run(settings, lambda store, _: store.annotate(annotation))
        _print([annotation], as_json=as_json, is_one=True)


def _annotation(settings: AnnotateSettings, text: str, *, at: str | None, funnel: str | None) -> Annotation:
    """Raises UsageError."""
    from schemas.funnel.load import load_funnels
    from streams.report.document.question import parse_instant_ms
    from streams.state import Annotation

    text = " ".join(text.split())
    if not text or len(text) > _MOST_CHARS:
        raise UsageError(f"an annotation has 1 to {_MOST_CHARS} characters")
    funnels = {each.name: each for each in load_funnels(settings.funnels)}
    if funnel is not None and funnel not in funnels:
        raise UsageError(f"no funnel {funnel!r} is configured; there are: {', '.join(funnels)}")
    timezone = funnels[funnel or next(iter(funnels))].timezone
    now_ms = wall_clock_ms()
    at_ms = now_ms if at is None else parse_instant_ms(at, timezone=timezone, now_ms=now_ms)
    said = json.dumps([at_ms, funnel, text])
    return Annotation(hashlib.sha256(said.encode()).hexdigest()[:8], at_ms, text, funnel)


def _run(
    settings: AnnotateSettings,
    ask: Callable[[RedisAnnotations, RedisCounterReader], Coroutine[Any, Any, Any]],
) -> Any:
    from streams.store.annotations import RedisAnnotations
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    async def run() -> Any:
        client = connect(settings.need_redis())
        try:
            return await ask(RedisAnnotations(client, settings.space), RedisCounterReader(client, settings.space))
        finally:
            await close(client)

    return asyncio.run(run())


def _print(annotations: list[Annotation], *, as_json: bool, is_one: bool = False) -> None:
    from streams.report.services.changes import annotation_shapes
    from streams.report.tables.changes import annotation_lines

    if as_json:
        shapes = annotation_shapes(annotations)
        emit(json.dumps(shapes[0] if is_one else shapes, ensure_ascii=False))
        return
    for each, line in zip(annotations, annotation_lines(annotations), strict=True):
        say(f"{each.id}  {line}{f'  ({each.funnel})' if each.funnel else ''}")
