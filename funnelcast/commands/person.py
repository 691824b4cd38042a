"""`funnelcast person`: one person's ids and journeys, and why each outcome was booked. Reads the store alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from funnelcast.commands.options import FunnelsOption, JsonFlag, with_settings
from funnelcast.people_lookup import NOBODY, person_document, trees_of
from funnelcast.person_keys import candidates
from funnelcast.say import say
from funnelcast.settings.sections import ContactKeySettings, FunnelSettings, RedisSettings, SpaceSettings
from schemas.funnel.load import load_funnels
from schemas.funnel.model import Funnel
from schemas.times import utc_text

if TYPE_CHECKING:
    from streams.people import Tree
    from streams.store.port import CounterReader

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, kw_only=True)
class PersonSettings(ContactKeySettings, FunnelSettings, SpaceSettings, RedisSettings):
    """The funnels are the worker's: they say what the stored state means."""


@app.command(
    epilog="Examples:  funnelcast person user:4711  ·  funnelcast person ann@example.com --json  ·  "
    "funnelcast person 3f6c0d1e --funnel sales"
)
@with_settings(PersonSettings)
def person(
    settings: PersonSettings,
    *,
    id_: Annotated[
        str,
        typer.Argument(metavar="ID", help="user:ID, contact:ID, anonymous:ID, an e-mail, or any id of the three."),
    ],
    funnel: FunnelsOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Show one person: every id that is linked, their deals and journeys, and why each outcome was booked.

    Shows what is kept: journeys whose entries are settled and whose events lie behind the horizon are counted and
    gone. Exit 1 where nothing is known of the id; 2 where it is an id of several people (say which: user:ID, ...).
    """
    try:
        keys = candidates(settings, id_)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="ID") from None
    trees, about = asyncio.run(_looked_up(settings, keys, funnels=load_funnels(funnel or settings.funnels)))
    if len(trees) > 1:
        choices = ", ".join(tree.root for tree in trees)
        raise typer.BadParameter(f"{id_} is an id of several people: ask for one of {choices}", param_hint="ID")
    if as_json:
        say(json.dumps(person_document(trees[0]) if trees else NOBODY))
    elif trees:
        show_tree(trees[0])
    if not trees:
        say(f"nothing is known of {id_} in this space{about}", err=True)
        raise typer.Exit(1)


async def _looked_up(
    settings: PersonSettings, keys: list[bytes], *, funnels: Sequence[Funnel]
) -> tuple[list[Tree], str]:
    """(the people whom the keys belong to; where there is nobody, what that may be due to)."""
    from streams.store.connection import close, connect
    from streams.store.reader import RedisCounterReader

    client = connect(settings.need_redis())
    try:
        trees = await trees_of(client, settings.space, keys=keys, funnels=funnels)
        return trees, "" if trees else await _about(RedisCounterReader(client, settings.space), funnels)
    finally:
        await close(client)


async def _about(reader: CounterReader, funnels: Sequence[Funnel]) -> str:
    """How far the space has been counted, and for which other funnels."""
    from funnelcast.unlooked import other_funnels
    from streams.store.statuses import statuses_of

    watermarks = [status.meta.watermark_ms for status in (await statuses_of(reader)).values()]
    known = [watermark for watermark in watermarks if watermark is not None]
    until = f", which is counted until {utc_text(min(known))}" if known else ", where nothing is counted yet"
    return "\n".join([until, *other_funnels(await reader.fingerprints(), funnels)])


def show_tree(tree: Tree) -> None:
    """A person for people: ids, deals, and a table for each journey."""
    from funnelcast.screen import Screen
    from streams.report.tables.grid import Grid

    console = Screen()
    say(f"{tree.root}: " + (f"with {', '.join(tree.ids[1:])}" if len(tree.ids) > 1 else "no other id is linked"))
    if tree.deals:
        say(f"deals: {', '.join(tree.deals)}")
    if not tree.journeys:
        say("no journey is under way, and none is kept")
    for journey in tree.journeys:
        what = "a journey" if journey.deal is None else f"deal {journey.deal}"
        since, until = utc_text(journey.began_at_ms), utc_text(journey.ends_at_ms)
        whose = "" if journey.id == tree.root else f", of {journey.id}"
        say(f"\n{journey.funnel}, {what}: {journey.state}, from {since} until {until}{whose}")
        table = Grid("stage", "at", "outcome", "~why")
        for entry in journey.entries:
            outcome = entry.outcome if entry.reason is None else f"{entry.outcome} ({entry.written_reason})"
            table.add_row(entry.stage, utc_text(entry.at_ms), outcome, entry.why)
        console.print(table)
