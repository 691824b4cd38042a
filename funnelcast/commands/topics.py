"""`funnelcast topics`: create what is missing, check what is there. Never changes an existing topic."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.processes import TopicsSettings

if TYPE_CHECKING:
    from streams.admin import TopicState

app = typer.Typer(no_args_is_help=True, help="Create and check the topics of a space.", add_completion=False)


@app.callback()
def _group() -> None:
    """Keeps `create` a subcommand of its own."""


@app.command(epilog="Example:  funnelcast topics create --kafka 127.0.0.1:9092 --partitions 8")
@with_settings(TopicsSettings)
def create(
    settings: TopicsSettings,
    *,
    historical: Annotated[
        bool, typer.Option("--historical", help="For imports: records carry the times of their events, all are kept.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Create the topics of a space. Exit 1 when an existing topic is not as it should be."""
    from schemas.topics import Retention
    from streams.admin import ensure_topics

    retention = Retention(
        events_ms=settings.retention_ms,
        rejected_ms=settings.retention_rejected_ms,
        late_ms=settings.retention_late_ms,
        hooks_ms=settings.retention_hooks_ms,
        journeys_ms=settings.retention_journeys_ms,
    )
    states = asyncio.run(
        ensure_topics(
            settings.need_kafka(),
            settings.topics,
            partitions=settings.partitions,
            historical=historical,
            retention=retention,
            replication=settings.replication,
        )
    )
    problems = [problem for state in states for problem in state.problems]
    if as_json:
        shown = [
            {
                "topic": state.name,
                "partitions": state.partitions,
                "created": state.created,
                "retention_ms": state.retention_ms,
            }
            for state in states
        ]
        emit(json.dumps({"ok": not problems, "topics": shown, "problems": problems}))
    else:
        for state in states:
            verb = "created" if state.created else "exists"
            say(f"{state.name}: {verb}, {state.partitions} partitions, {_retention(state)}")
        for problem in problems:
            say(f"problem: {problem}", err=True)
    raise typer.Exit(1 if problems else 0)


def _retention(state: TopicState) -> str:
    if state.retention_ms is None:
        return "kept permanently"
    hours = state.retention_ms / 3_600_000
    return f"kept for {hours / 24:g} days" if hours >= 48 else f"kept for {hours:g} hours"
