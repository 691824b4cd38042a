"""`funnelcast topics`: create what is missing, check what is there. Never changes an existing topic."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from funnelcast.settings import load_settings

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
    retention: Annotated[str, typer.Option(help="How long a live space keeps its events.")] = "7d",
    replication: Annotated[int, typer.Option(help="Copies of each partition; -1: the broker's default.")] = -1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Create the topics of a space. Exit 1 when an existing one is not as it should be."""
    from schemas.funnel import parse_duration_ms
    from schemas.topics import Topics
    from streams.admin import ensure_topics

    settings = load_settings(kafka=kafka, space=space)
    try:
        retention_ms = parse_duration_ms(retention)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--retention") from None
    states = asyncio.run(
        ensure_topics(
            settings.need_kafka(),
            Topics(settings.space),
            partitions=partitions,
            historical=historical,
            retention_ms=retention_ms,
            replication=replication,
        )
    )
    problems = [problem for state in states for problem in state.problems]
    if as_json:
        shown = [{"topic": one.name, "partitions": one.partitions, "created": one.created} for one in states]
        typer.echo(json.dumps({"ok": not problems, "topics": shown, "problems": problems}))
    else:
        for one in states:
            typer.echo(f"{one.name}: {'created' if one.created else 'exists'}, {one.partitions} partitions")
        for problem in problems:
            typer.echo(f"problem: {problem}", err=True)
    raise typer.Exit(1 if problems else 0)
