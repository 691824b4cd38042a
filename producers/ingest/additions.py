"""What the collector adds to the properties of an event: where the visitor came from, and what visited. Pure.

What an event states itself stays, but for the class of its traffic where its sender is not believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from producers.attribution.links import TAG_NAMES
from producers.attribution.origin import Origins
from producers.ingest.event import Event, Members, NativeEvent
from producers.ingest.objects import with_members, without_member
from producers.ingest.verdicts import Scope, Sender
from producers.visitors.visitor import properties_of
from schemas.properties import TRAFFIC
from schemas.traffic import HUMAN, traffic_of

NAMES: Final = TAG_NAMES | {TRAFFIC}
NOTHING: Final[tuple[Mapping[str, str], str]] = ({}, HUMAN)


class Additions:
    """With the channel groups of an installation."""

    def __init__(self, origins: Origins | None = None) -> None:
        self._origins = origins or Origins()

    def of(
        self, event: Event | NativeEvent, properties: Members, context: Members, sender: Sender
    ) -> tuple[Mapping[str, str], str]:
        """(the properties, the class of the event's traffic)."""
        if not context and sender.visitor is None and sender.traffic is None and NAMES.isdisjoint(properties):
            return NOTHING  # most of what servers send
        knows_referrer = event.knows_referrer if isinstance(event, Event) else True
        origin = self._origins.properties_of(properties, context, knows_referrer=knows_referrer)
        is_believed = sender.scope is not Scope.BROWSER
        seen = properties_of(
            properties, context, visitor=sender.visitor, traffic=sender.traffic, may_say_human=is_believed
        )
        traffic = seen.get(TRAFFIC) or traffic_of(properties.get(TRAFFIC))
        return ({**origin, **seen} if origin and seen else seen or origin), traffic


def with_added(stored: msgspec.Raw | Members, properties: Members, added: Mapping[str, str]) -> msgspec.Raw | Members:
    """The properties as they are stored, with what is added. `properties` are their values."""
    if isinstance(stored, dict):
        return {**stored, **added}
    if TRAFFIC in added and TRAFFIC in properties:
        stored = without_member(stored, TRAFFIC)
        properties = {name: value for name, value in properties.items() if name != TRAFFIC}
    return with_members(stored, properties, added)[0]
