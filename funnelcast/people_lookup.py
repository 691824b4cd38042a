"""Looks one person up, for `funnelcast person` and the page: whom an id may mean, and what is shown of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from funnelcast.person_keys import candidates
from funnelcast.settings.sections import ContactKeySettings
from schemas.funnel.model import Funnel
from schemas.times import utc_text
from streams.api.parameters import ParameterError

if TYPE_CHECKING:
    from streams.people import Tree

NOBODY: Final[dict[str, Any]] = {"person": None, "ids": [], "deals": [], "journeys": []}
Lookup = Callable[[str], Awaitable[dict[str, Any]]]
"""The document of the person whom an id means; raises ParameterError where it means none or several."""


async def trees_of(client: Any, space: str, *, keys: Sequence[bytes], funnels: Sequence[Funnel]) -> list[Tree]:
    """The different people whom these keys belong to, in the definitions that the workers count now."""
    from schemas.funnel.effect import in_effect
    from streams.people import People
    from streams.store.reader import RedisCounterReader
    from streams.store.redis import RedisPartitionStore
    from streams.store.statuses import metas_of

    reader = RedisCounterReader(client, space)
    counted = in_effect(funnels, await reader.switched())
    written = {funnel.funnel_id: await reader.written_names(funnel.funnel_id) for funnel in counted}
    people = People(RedisPartitionStore(client, space), await metas_of(reader), funnels=counted, written=written)
    trees = [await people.tree(key) for key in keys]
    return list({tree.root: tree for tree in trees if tree is not None}.values())


def lookup(client: Any, space: str, *, funnels: Sequence[Funnel], settings: ContactKeySettings) -> Lookup:
    """Asks the store of a space."""

    async def document_of(text: str) -> dict[str, Any]:
        try:
            keys = candidates(settings, text)
        except ValueError as error:
            raise ParameterError(str(error)) from None
        trees = await trees_of(client, space, keys=keys, funnels=funnels)
        if len(trees) > 1:
            choices = ", ".join(tree.root for tree in trees)
            raise ParameterError(f"{text} is an id of several people: ask for one of {choices}")
        return person_document(trees[0]) if trees else NOBODY

    return document_of


def person_document(tree: Tree) -> dict[str, Any]:
    """As JSON."""
    journeys = [
        {
            "deal": journey.deal,
            "funnel": journey.funnel,
            "id": journey.id,
            "state": journey.state,
            "began_at": utc_text(journey.began_at_ms),
            "began_at_ms": journey.began_at_ms,
            "ends_at": utc_text(journey.ends_at_ms),
            "ends_at_ms": journey.ends_at_ms,
            "entries": [
                {
                    "stage": entry.stage,
                    "at": utc_text(entry.at_ms),
                    "at_ms": entry.at_ms,
                    "outcome": entry.outcome,
                    "reason": entry.reason,
                    "why": entry.why,
                }
                for entry in journey.entries
            ],
        }
        for journey in tree.journeys
    ]
    return {"person": tree.root, "ids": tree.ids, "deals": tree.deals, "journeys": journeys}
