"""`funnelcast simulate`: the events of a simulated shop as JSONL on stdout. Writes; simulates nothing itself."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command(epilog="Example:  funnelcast simulate --seed 1 --events 100000 --messy > e.jsonl")
def simulate(
    *,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 1,
    events: Annotated[int, typer.Option(min=0, help="How many lines.")] = 10_000,
    messy: Annotated[
        bool, typer.Option("--messy", help="10 % copies, 10 % disorder, a few late ones, ids that are none.")
    ] = False,
    start: Annotated[str, typer.Option(help="When it begins (RFC 3339).")] = "2025-01-01T00:00:00Z",
) -> None:
    """Write deterministic native events of a shop (web, CRM and billing) for the preset `sales`, over about 60 days."""
    import orjson

    from producers.ingest.times import parse_time_ms
    from producers.simulator.simulator import simulate as events_of

    start_ms = parse_time_ms(start)
    if start_ms is None:
        raise typer.BadParameter("write a time such as 2025-01-01T00:00:00Z", param_hint="--start")
    out = sys.stdout.buffer
    try:
        for event in events_of(seed=seed, events=events, messy=messy, start_ms=start_ms):
            out.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
        out.flush()
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
