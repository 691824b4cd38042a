"""What a CRM's API says of the thing that a webhook names: values and ports. Does no I/O; `producers.webhooks.crm_http`
does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from producers.ingest.event import Members
from producers.webhooks.delivery import Further, WebhookEvent


@dataclass(slots=True)
class Details:
    """What the API adds to a webhook event. Absent is None; `keys` replace the event's own where there are any."""

    keys: tuple[str, ...] = ()
    id: str | None = None
    """An id that says the stage and when it was reached: copies of one move are one event."""
    type: str | None = None
    occurred_ms: int | None = None
    subject: str | None = None
    email: str | None = None
    phone: str | None = None
    properties: Members = field(default_factory=dict)
    test_mark: str | None = None
    further: tuple[Further, ...] | None = None
    """What the change says of the order besides; None: what the hook said."""


class CrmUnavailableError(Exception):
    """Try again, not before `retry_after_seconds` where the CRM said so."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class CrmRefusedError(CrmUnavailableError):
    """The CRM does not let us read this: somebody must look at the token. Tried again as an outage is."""


class CrmClient(Protocol):
    """GETs JSON from one account of a CRM, at the vendor's pace."""

    async def get(self, path: str, *ids: str | None, params: Mapping[str, str] | None = None) -> Any:
        """The JSON of an answer, None where the thing does not exist. `ids` fill the `{}` of the path: they come with
        webhooks, so anything that could lead to another path is not accepted as an id. Raises CrmUnavailableError."""

    async def remembered(self, path: str, *ids: str | None, params: Mapping[str, str] | None = None) -> Any:
        """The same for what seldom changes; None also where the API refuses us this. Raises CrmUnavailableError."""


class Crm(Protocol):
    """A CRM's API as the enricher asks it."""

    async def details(self, event: WebhookEvent) -> Details | None:
        """What the CRM knows of the event's `deal`; None where the thing is gone. Raises CrmUnavailableError."""
