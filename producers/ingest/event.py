"""An event as a format reads it, before any check. Values only.

`properties` and `context` are what it says, as values: the checks look at them to find e-mails and phones. Where a
client's bytes are to go on as they were sent (money, long numbers), the same object stands beside it as JSON.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from producers.ingest.verdicts import SequenceNumber

Id = str | int | None
Members = dict[str, Any]
"""A JSON object, as values."""
EMPTY_OBJECT: Final = msgspec.Raw(b"{}")
ABSENT: Final = msgspec.Raw(b"null")
"""No JSON stands beside the values."""


class Event(msgspec.Struct, gc=False):
    """What one element of a request says. Times are epoch milliseconds of the client's clock; None is absent. An e-mail
    or phone among the properties, in the context or in its traits is found there."""

    id: Id = None
    name: str | None = None
    anonymous_id: Id = None
    contact_id: Id = None
    user_id: Id = None
    email: str | None = None
    phone: Id = None
    properties: Members = {}
    context: Members = {}
    properties_json: msgspec.Raw = ABSENT
    """`properties` as they were sent; ABSENT: they are encoded."""
    context_json: msgspec.Raw = ABSENT
    client_ms: int | None = None
    sent_ms: int | None = None
    is_time_unreadable: bool = False
    """A time was sent that cannot be read: the time of reception is taken, and counted."""
    knows_referrer: bool = True
    """An address without a page before means that there was none; a picture only knows the page that shows it."""
    repairs: int = 0
    """Values within it that could not be read and were repaired."""


class NativeEvent(msgspec.Struct, gc=False):
    """An event of `POST /v1/events`, or a tick, as it is decoded. Unknown members are ignored."""

    id: Id = None
    name: str | None = None
    occurred_at_ms: int | None = None
    occurred_at: str | None = None
    received_at_ms: int | None = None
    anonymous_id: Id = None
    contact_id: Id = None
    user_id: Id = None
    email: str | None = None
    phone: Id = None
    source: str | None = None
    properties_json: msgspec.Raw = msgspec.field(default=EMPTY_OBJECT, name="properties")
    context_json: msgspec.Raw = msgspec.field(default=ABSENT, name="context")
    tick: int | None = None
    marker: str | None = None


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """When an event occurred and was received (epoch ms), its source, its place in an ordered sender's numbering."""

    occurred_at_ms: int
    received_at_ms: int
    source: str
    was_clamped: bool = False
    """An absurd time was replaced by that of reception."""
    sequence: SequenceNumber | None = None
