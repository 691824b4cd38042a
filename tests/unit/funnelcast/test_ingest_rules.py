"""The collector keeps what the worker reads: nothing that counts can vanish between the two."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from funnelcast.ingest_rules import known_names, personless_names, read_properties, server_names
from producers.ingest.checks import Ingest
from producers.ingest.contacts import Contacts
from producers.ingest.privacy import Privacy
from producers.ingest.verdicts import Accepted, Scope, Sender
from schemas.funnel.load import load_funnels, parse_funnel
from schemas.funnel.model import Funnel
from schemas.properties import ALWAYS_READ
from schemas.spend import STATEMENT_PROPERTIES
from streams.core.decode import Decoder
from streams.core.planning import plan_of
from tests.support.rows import rows

NOW = 1_735_725_600_000
OWN = parse_funnel(
    """
name: own
conversion_window: 1d
stages:
  - {name: lead, on: [{event: form, where: {form_kind: contact}}]}
  - {name: payment, on: [paid, {event: order_paid, where: {tier: {gt: 1}}}], order: true}
lost: [{on: [{event: form_lost, where: {why: {exists: true}}}]}]
refunds: [money_back]
ad_spend: [costs]
dimensions: [{name: manager, attribution: stage, property: owner}]
"""
)
SETS = [[OWN], load_funnels(["sales"]), load_funnels(["deal8", "retail8"]), [OWN, *load_funnels(["b2b8"])]]


def through_collector(funnels: list[Funnel], event: dict[str, Any]) -> bytes:
    """The record that an event becomes where only what the funnels read is kept."""
    ingest = Ingest(
        contacts=Contacts(b"secret"),
        personless_names=personless_names(funnels),
        privacy=Privacy(allow=read_properties(funnels)),
    )
    verdict = ingest.native(orjson.dumps(event), sender=Sender("web", Scope.SERVER), received_at_ms=NOW)
    assert isinstance(verdict, Accepted), verdict
    return verdict.value


@rows("funnels", SETS, ids=lambda funnels: "+".join(funnel.name for funnel in funnels))
def test_what_the_worker_reads_passes_allow_properties(funnels: list[Funnel]) -> None:
    decoder = Decoder([plan_of(funnel) for funnel in funnels])
    sent = {prop: f"sent as {prop}" for prop in decoder.attribute} | {"nobody_reads": 1}
    value = through_collector(funnels, {"id": "e-1", "name": "payment", "user_id": "u1", "properties": sent})
    record = decoder.typed(value)
    read = {prop: getattr(record.properties, attribute) for prop, attribute in decoder.attribute.items()}
    as_values = {p: msgspec.json.decode(v) if isinstance(v, msgspec.Raw) else v for p, v in read.items()}
    assert as_values == {prop: f"sent as {prop}" for prop in decoder.attribute}
    assert b"nobody_reads" not in value


@rows("funnels", SETS, ids=lambda funnels: "+".join(funnel.name for funnel in funnels))
def test_what_a_statement_of_spend_says_passes_too(funnels: list[Funnel]) -> None:
    sent = dict.fromkeys(STATEMENT_PROPERTIES, "x") | {"day": "2025-01-31", "value": "1.50", "currency": "EUR"}
    value = through_collector(funnels, {"id": "e-1", "name": "ad_spend", "properties": {**sent, "nobody_reads": 1}})
    assert msgspec.json.decode(value)["properties"] == sent


@rows("funnels", SETS, ids=lambda funnels: "+".join(funnel.name for funnel in funnels))
def test_the_collector_allows_exactly_what_the_worker_reads(funnels: list[Funnel]) -> None:
    read = {*Decoder([plan_of(funnel) for funnel in funnels]).attribute, *STATEMENT_PROPERTIES}
    assert read == read_properties(funnels)


CHANGES = {"order_withdrawn", "order_restated"}
"""What changes an order, in every funnel."""


def test_rules_are_flattened_from_stages_and_losses() -> None:
    assert [rule.event for rule in OWN.rules] == ["form", "paid", "order_paid", "form_lost"]
    assert OWN.event_names == known_names([OWN]) == {"form", "paid", "order_paid", "form_lost", "money_back", *CHANGES}
    assert OWN.properties == {"form_kind", "tier", "why", "owner"}
    assert read_properties([OWN]) == {*ALWAYS_READ, *STATEMENT_PROPERTIES, "form_kind", "tier", "why", "owner"}


def test_events_that_move_money_are_for_servers() -> None:
    assert OWN.money_names == {"paid", "order_paid", "money_back", "costs", *CHANGES}
    assert server_names([OWN]) == {"paid", "order_paid", "money_back", "costs", "ad_spend", *CHANGES}
    assert server_names([OWN], ["Order-Paid"]) == {"paid", "money_back", "costs", "ad_spend", *CHANGES}
    assert personless_names([OWN]) == {"costs", "ad_spend"}
