"""`funnelcast topics`: create what is missing, check what is there. Never changes an existing topic."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.settings import load_settings

if TYPE_CHECKING:
    from streams.admin import TopicState

app = typer.Typer(no_args_is_help=True, help="Create and check the topics of a space.", add_completion=False)


@app.callback()
def _group() -> None:
    """Keeps `create` a subcommand of its own."""


@app.command(epilog="Example:  funnelcast topics create --kafka 127.0.0.1:9092 --partitions 8")
def create(
    kafka: Annotated[str | None, typer.Option(help="host:port[,host:port] of the brokers.")] = None,
    space: Annotated[str | None, typer.Option(help="Prefix of topics and Redis keys.")] = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Partitions of a new space (default 8); fixed for its life.")
    ] = None,
    historical: Annotated[
        bool, typer.Option("--historical", help="For imports: records carry the times of their events, all are kept.")
    ] = False,
    retention: Annotated[
        str, typer.Option(help="How long a live space keeps its events: longer than it takes to restore the counters.")
    ] = "7d",
    retention_rejected: Annotated[
        str,
        typer.Option(
            help="How long a space keeps what was rejected: e-mails and phones stand there as they were sent."
        ),
    ] = "7d",
    retention_late: Annotated[str, typer.Option(help="How long it keeps events that came too late.")] = "30d",
    retention_hooks: Annotated[
        str, typer.Option(help="How long it keeps webhooks that the enricher makes events of.")
    ] = "7d",
    replication: Annotated[int, typer.Option(help="Copies of each partition; -1: the broker's default.")] = -1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Create the topics of a space. Exit 1 when an existing one is not as it should be."""
    from schemas.topics import Topics
    from streams.admin import Retention, ensure_topics

    settings = load_settings(kafka=kafka, space=space)
    durations = {
        "--retention": retention,
        "--retention-rejected": retention_rejected,
        "--retention-late": retention_late,
        "--retention-hooks": retention_hooks,
    }
    kept = Retention(*(_milliseconds(option, text) for option, text in durations.items()))
    states = asyncio.run(
        ensure_topics(
            settings.need_kafka(),
            Topics(settings.space),
            partitions=partitions,
            historical=historical,
            retention=kept,
            replication=replication,
        )
    )
    problems = [problem for state in states for problem in state.problems]
    if as_json:
        shown = [
            {
                "topic": one.name,
                "partitions": one.partitions,
                "created": one.created,
                "retention_ms": one.retention_ms,
            }
            for one in states
        ]
        typer.echo(json.dumps({"ok": not problems, "topics": shown, "problems": problems}))
    else:
        for one in states:
            typer.echo(
                f"{one.name}: {'created' if one.created else 'exists'}, {one.partitions} partitions, {_kept(one)}"
            )
        for problem in problems:
            typer.echo(f"problem: {problem}", err=True)
    raise typer.Exit(1 if problems else 0)


def _milliseconds(option: str, text: str) -> int:
    from schemas.funnel.duration import parse_duration_ms

    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _kept(state: TopicState) -> str:
    if state.retention_ms is None:
        return "kept for ever"
    hours = state.retention_ms / 3_600_000
    return f"kept for {hours / 24:g} days" if hours >= 48 else f"kept for {hours:g} hours"
