"""The checks of this installation, composed of its settings and funnels: the same for collector and enricher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from funnelcast import ingest_rules
from funnelcast.contacts import ensure_contact_key
from funnelcast.settings.sections import IngestSettings, PrivacySettings
from producers.access.day_ids import DayIds
from producers.attribution.channels import load_channels
from producers.attribution.origin import Origins
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.limits import Limits
from producers.ingest.privacy import IpRule, Privacy
from schemas.funnel.load import load_funnels
from schemas.funnel.model import Funnel


def ingest_of(settings: IngestSettings, limits: Limits, *, strict_names: bool = False) -> Ingest:
    """`limits` of requests; how large an event may be is the installation's."""
    funnels = load_funnels(settings.funnels)
    return Ingest(
        limits=replace(
            limits,
            lateness_ms=ingest_rules.lateness_ms(funnels),
            least_lateness_ms=ingest_rules.least_lateness_ms(funnels),
        ),
        contacts=Contacts(ensure_contact_key(settings), phone_region=settings.phone_region),
        known_names=ingest_rules.known_names(funnels),
        personless_names=ingest_rules.personless_names(funnels),
        server_names=ingest_rules.server_names(funnels, settings.browser_events),
        privacy=_privacy(settings, funnels),
        strict_names=strict_names,
        keep_contacts=settings.keep_contacts,
        origins=origins_of(settings.channels),
        day_ids=DayIds(settings.state_dir).of,
    )


def origins_of(channels: Path | None) -> Origins:
    """By the channel groups that ship, and those of a file before them. Raises ChannelsError."""
    return Origins() if channels is None else Origins(load_channels(channels))


def _privacy(settings: PrivacySettings, funnels: Sequence[Funnel]) -> Privacy:
    names = settings.allow_properties
    allowed = None if names is None else {*names, *ingest_rules.read_properties(funnels)}
    return Privacy(ip=IpRule(settings.ip), deny=settings.deny_properties, allow=allowed)
