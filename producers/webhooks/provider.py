"""What a vendor is: one value. How its deliveries prove that they are genuine, what they say, what its stages mean, and
what its API knows besides.

Values and ports only, no I/O. Each vendor's file makes its value; `producers.webhooks.providers` lists them. Everything
else (the file of webhooks, the collector, the enricher, the command) asks the value and never the vendor's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from producers.formats.port import Request
from producers.webhooks.crm import Crm, CrmClient
from producers.webhooks.delivery import Delivery, RawDelivery
from producers.webhooks.signatures import Check, Secrets, basic_of, check_shared

_MAX_SECRETS_IN_QUERY = 4


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the file of webhooks says a hook's deliveries must prove themselves with."""

    path: str
    """The hook's address; what a request has behind it may be the secret."""
    secrets: Secrets
    public_url: str = ""
    """The address as it is entered at the vendor."""
    takes_legacy: bool = False
    """Older signatures of the vendor are good too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A vendor. `name` is its `provider:` in the file of webhooks."""

    name: str
    read: Callable[[RawDelivery], Delivery]
    """What a delivery says. Raises RequestError."""
    check: Callable[[Request, Credentials], Check]
    """Whether a request is genuine: over the bytes as they arrived, in constant time. Raises RequestError."""
    stages: Mapping[str, str | None]
    """The stage map without anything configured; None: a stage that is no step of a funnel."""
    headers: tuple[bytes, ...] = ()
    """Headers without which a body cannot be read: dead letters keep them."""
    key_of: Callable[[str], bytes] = str.encode
    """A secret of the file as the signature needs it. Raises ValueError that says what to write instead."""
    needs_public_url: bool = False
    """The vendor signs the address, so that we must know it."""
    secret_in_path: bool = False
    """The vendor signs nothing: the secret is part of the address."""
    keeps_names: bool = False
    """Types are names of events as they stand; those of other vendors get the vendor's name in front."""
    api: Callable[[CrmClient], Crm] | None = None
    """Where webhooks carry only ids: the API that has the rest."""
    needs_token: bool = True
    """False where the address of the API is the secret."""
    rate: float = 2.0
    """Requests a second that the vendor allows to its API."""


def check_address(request: Request, credentials: Credentials) -> Check:
    """The secret behind the hook's name in the path, in `?secret=`, or in Basic: for vendors that sign nothing."""
    secret = request.path.removeprefix(credentials.path).strip("/")
    try:
        in_query = parse_qs(request.query.decode("latin-1")).get("secret", [])
    except ValueError:
        in_query = []
    in_address = [text.encode("utf-8", "surrogateescape") for text in (secret, *in_query[:_MAX_SECRETS_IN_QUERY])]
    return check_shared(credentials.secrets, [*in_address, *basic_of(request.headers.get(b"authorization"))])
