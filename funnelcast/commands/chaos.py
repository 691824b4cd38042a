"""`funnelcast chaos`: disturb real processes and say whether the numbers stayed exact. Prints; judges nothing."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from funnelcast.commands.options import JsonFlag, OtherKafka, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import StateSettings
from funnelcast.signals import run_until_told

app = typer.Typer(help="Kill real processes at random and prove that the numbers stay exact.")
SHOWN_DIFFERENCES = 20


@app.command(epilog="Example:  funnelcast chaos --seconds 90 --faults 15 --seed 7 --json")
@with_settings(StateSettings)
def chaos(
    settings: StateSettings,
    *,
    seconds: Annotated[float, typer.Option(min=1, help="How long events flow.")] = 90,
    seed: Annotated[int, typer.Option(help="Draws the events and the faults.")] = 1,
    faults: Annotated[int, typer.Option(min=0, help="How many faults.")] = 15,
    events: Annotated[int, typer.Option(min=1, help="Distinct events; a tenth of them is sent twice.")] = 300_000,
    kafka: OtherKafka = None,
    real_kafka: Annotated[bool, typer.Option(help="Start Apache Kafka of our own, and kill it, too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send events through real processes while workers, the collector, Valkey and the broker are killed, stopped and
    continued; then compare every counter with an oracle's and with an undisturbed count. Exit 1 if not exact.
    A broker of --kafka is not killed.
    """
    from funnelcast.chaos.run import ChaosPlan, run_chaos

    plan = ChaosPlan(seconds=seconds, seed=seed, faults=faults, events=events)
    verdict = run_until_told(
        run_chaos(
            plan,
            state_dir=settings.state_dir,
            kafka=kafka,
            real_kafka=real_kafka,
            say=lambda line: say(line, err=True),
        )
    )
    for line in verdict.differences[:SHOWN_DIFFERENCES]:
        say(line, err=True)
    if as_json:
        emit(json.dumps(verdict.as_document()))
    else:
        said = "EXACT" if verdict.exact else f"NOT EXACT ({len(verdict.differences)} counters differ)"
        say(
            f"{said}: {verdict.events} events ({verdict.records} sent), {len(verdict.faults)} faults, "
            f"{verdict.lost} lost, {verdict.double} double; {verdict.persons} persons, {verdict.merged} merges, "
            f"{verdict.journeys['changes']} changes of journeys told ({verdict.journeys['lost']} lost, "
            f"{verdict.journeys['double']} double); {sum(verdict.restarts.values())} restarts, "
            f"{verdict.retries} repeated batches, {verdict.seconds} s"
        )
    if not verdict.exact:
        raise typer.Exit(1)
