"""`funnelcast fuzz`: mutated requests against a live collector. Prints; judges nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import StateSettings
from funnelcast.signals import run_until_told

if TYPE_CHECKING:
    from funnelcast.fuzz.run import Verdict

app = typer.Typer(no_args_is_help=True, help="Send mutated requests and noise.", add_completion=False)


@app.callback()
def _group() -> None:
    """Keeps `collector` a subcommand of its own."""


@app.command(
    epilog="Examples:  funnelcast fuzz collector --requests 100000 --seed 7  ·  "
    "funnelcast fuzz collector --seed 7 --only 4711  ·  "
    "funnelcast fuzz collector --url http://127.0.0.1:8080 --key KEY --requests 5000"
)
@with_settings(StateSettings)
def collector(
    settings: StateSettings,
    *,
    requests: Annotated[int, typer.Option(min=1, help="How many requests.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Draws the requests: the same seed sends the same ones.")] = 1,
    only: Annotated[int | None, typer.Option(min=0, help="Send this request of the seed alone.")] = None,
    url: Annotated[
        str | None, typer.Option(help="A running collector; default: one of its own on an embedded stack.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Write key for --url.")] = None,
    metrics_url: Annotated[
        str | None, typer.Option(help="Where its metrics are, e.g. http://127.0.0.1:9100/metrics; else no counts.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send recorded requests of every format with something wrong in them, and pure noise, to a collector.

    Checked: no 5xx other than 503, an answer to every request, every error as code, message and detail; the process
    lives, its log shows no bug, its memory grows by at most 50 MB; received = accepted + rejected + deduplicated for
    every source; what was accepted is on Kafka (the last three of a collector of its own). Exit 1 when a check fails;
    failing requests are saved in the state directory as they went over the wire.
    """
    from funnelcast.fuzz.run import FuzzPlan, run_fuzz

    verdict = run_until_told(
        run_fuzz(
            FuzzPlan(requests, seed, only),
            state_dir=settings.state_dir,
            url=url,
            key=key,
            metrics=metrics_url,
            say=lambda line: say(line, err=True),
        )
    )
    if as_json:
        emit(json.dumps(verdict.as_document()))
    else:
        _print(verdict)
    raise typer.Exit(0 if verdict.ok else 1)


@app.command(
    epilog="Examples:  funnelcast fuzz files --files 1000 --seed 7  ·  funnelcast fuzz files --seed 7 --only 41"
)
@with_settings(StateSettings)
def files(
    settings: StateSettings,
    *,
    count: Annotated[int, typer.Option("--files", min=1, help="How many files.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Draws the files: the same seed writes the same ones.")] = 1,
    only: Annotated[int | None, typer.Option(min=0, help="Read this file of the seed alone.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Import wide CSVs with wrong cells, and check what became of every row.

    Checked: nothing raises, every row is counted once, exactly the rows with something wrong are refused, by their
    lines, and the others become their events. Exit 1 when a check fails; such files are kept in the state directory.
    """
    from funnelcast.fuzz.files import fuzz_files

    directory = settings.state_dir / "fuzz"
    directory.mkdir(parents=True, exist_ok=True)
    numbers = range(count) if only is None else range(only, only + 1)
    faults = fuzz_files(seed, numbers, directory=directory, say=lambda line: say(line, err=True))
    if as_json:
        emit(json.dumps({"files": len(numbers), "seed": seed, "faults": faults, "ok": not faults}))
    else:
        say(f"{'nothing wrong' if not faults else f'{len(faults)} FAULTS'}: {len(numbers)} files")
    raise typer.Exit(1 if faults else 0)


@app.command(
    epilog="Examples:  funnelcast fuzz persons --persons 500 --seed 7  ·  funnelcast fuzz persons --seed 7 --only 41"
)
def persons(
    *,
    count: Annotated[int, typer.Option("--persons", min=1, help="How many hot persons.")] = 200,
    seed: Annotated[int, typer.Option(help="Draws the persons: the same seed makes the same ones.")] = 1,
    only: Annotated[int | None, typer.Option(min=0, help="Count this person of the seed alone.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Count persons with hundreds of events in disorder, at once and in pieces, and compare.

    Copies with other times, one instant, days late, orders that repeat, texts cut in half, control sequences. Checked:
    nothing raises, and both ways lead to the same document. Exit 1 when a check fails.
    """
    from funnelcast.fuzz.persons import fuzz_persons

    numbers = range(count) if only is None else range(only, only + 1)
    faults = run_until_told(fuzz_persons(seed, numbers, say=lambda line: say(line, err=True)))
    if as_json:
        emit(json.dumps({"persons": len(numbers), "seed": seed, "faults": faults, "ok": not faults}))
    else:
        say(f"{'nothing wrong' if not faults else f'{len(faults)} FAULTS'}: {len(numbers)} persons")
    raise typer.Exit(1 if faults else 0)


def _print(verdict: Verdict) -> None:
    from funnelcast.screen import Screen
    from streams.report.tables.grid import Grid

    table = Grid("format", *(f">{status}" for status in verdict.statuses), title="answers by status")
    for name, counts in [*verdict.by_format.items(), ("all", verdict.statuses)]:
        table.add_row(name, *(str(counts.get(status, "")) for status in verdict.statuses))
    Screen().print(table)
    for source, counts in verdict.balance.items():
        say(f"source {source}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    for fault in verdict.faults[:20]:
        say(f"fault: {fault}")
    for file in verdict.saved:
        say(f"saved: {file}")
    grown = "" if verdict.rss_growth_bytes is None else f", memory grew by {verdict.rss_growth_bytes / 1e6:.1f} MB"
    said = "nothing wrong" if verdict.ok else f"{len(verdict.faults)} FAULTS"
    say(f"{said}: {verdict.requests} requests in {verdict.seconds} s{grown}")
