"""The enricher against CRMs over real HTTP: what it adds, how it waits, and that no hook is ever lost."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from producers.ingest.checks import Ingest
from producers.sink.port import MemorySink, SinkUnavailableError
from producers.webhooks.crm_http import Pace, retry_after
from producers.webhooks.crms import crms_of
from producers.webhooks.enricher import Enricher, pause_of
from producers.webhooks.enricher_metrics import EnricherMetrics
from producers.webhooks.hook_record import HookRecord, encode_hook
from schemas.record import decode_any
from tests.support.collector import NOW, TOPICS
from tests.support.fake_crm import TOKEN, FakeCrm
from tests.support.waiting import LIMIT
from tests.support.webhooks import CONTACTS, hooks_of, load, of_sample

ANN = CONTACTS.of_email("c31@example.com")
BITRIX = {
    "STAGE_ID": "C1:WON",
    "STAGE_SEMANTIC_ID": "S",
    "CATEGORY_ID": "1",
    "OPPORTUNITY": "1000.50",
    "CURRENCY_ID": "EUR",
    "CONTACT_ID": "31",
    "ASSIGNED_BY_ID": "5",
    "MOVED_TIME": "2025-01-01T11:59:00+02:00",
    "UTM_SOURCE": "google",
}


@pytest.fixture
def crm() -> Iterator[FakeCrm]:
    with FakeCrm() as server:
        server.leads = {"25399013": {"contact": "31"}, "25399014": {"contact": "32", "loss": "Price"}}
        server.leads |= {"25399015": {}, "901": {"contact": "31"}, "902": {"contact": "32", "loss": "Too dear"}}
        server.leads["901"]["moves"] = [("closedwon", NOW - 6_000), ("contractsent", NOW - 8_000), ("11", NOW - 90_000)]
        server.leads["902"]["moves"] = [("closedlost", NOW - 7_000), ("contractsent", NOW - 90_000)]
        server.leads["759"] = BITRIX
        yield server


@dataclass
class Rig:
    """An enricher in memory that is given recorded hooks."""

    crm: FakeCrm
    options: dict[str, Any] = field(default_factory=dict)
    sink: MemorySink = field(default_factory=MemorySink)

    def hook(self, sample: str) -> dict[str, Any]:
        hook = load(sample)["webhook"]
        url = f"{self.crm.url}/rest/1/secret" if hook["provider"] == "bitrix24" else self.crm.url
        api = {"url": url, "token": TOKEN, "rate": 500, "timeout": "10s", "patience": "40s"}
        return {**hook, "api": {**api, **self.options}}

    async def hooks(self, sample: str) -> list[bytes]:
        """The records that the collector makes of a delivery."""
        collector = of_sample(sample, api=self.hook(sample)["api"])
        await collector.send(load(sample))
        return [one.value for one in collector.sink.records(TOPICS.hooks)]

    async def __call__(self, *samples: str, values: list[bytes] | None = None, **changes: Any) -> list[dict[str, Any]]:
        """The events that become of the hooks of recorded deliveries."""
        webhooks = hooks_of(*(self.hook(sample) | changes for sample in samples))
        self.metrics = EnricherMetrics()
        crms = crms_of(webhooks, self.metrics)
        enricher = Enricher(
            webhooks=webhooks,
            ingest=Ingest(contacts=CONTACTS),
            crms=crms,
            sink=self.sink,
            topics=TOPICS,
            metrics=self.metrics,
        )
        if values is None:
            values = [value for sample in samples for value in await self.hooks(sample)]
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*(enricher.work_on(value) for value in values))
        for crm in crms.values():
            await crm.close()
        records = [decode_any(one.value) for one in self.sink.records(TOPICS.events)]
        events = [one for one in records if "link" not in one]
        return sorted(events, key=lambda one: (one["occurred_at_ms"], one["id"]))

    def dead_letters(self) -> list[dict[str, Any]]:
        return [decode_any(one.value) for one in self.sink.records(TOPICS.rejected)]

    def counted(self, outcome: str) -> float:
        samples = (sample for family in self.metrics.registry.collect() for sample in family.samples)
        return sum(s.value for s in samples if s.name.endswith("hooks_total") and s.labels["outcome"] == outcome)


async def test_amocrm_says_who_why_and_what(crm: FakeCrm) -> None:
    rig = Rig(crm)
    won, lost = await rig("amocrm-leads-status")
    assert (won["name"], won["contact_id"], won["received_at_ms"]) == ("payment", ANN, NOW)
    assert won["properties"] == {
        "value": "5000",
        "currency": "EUR",
        "manager": "Manager 109",
        "pipeline": "Sales",
        "stage": "Won",
        "deal_id": "25399013",
        "order_id": "amocrm:lead:25399013",
        "product": "Blue lamp",
        "products": ["Blue lamp"],
    }
    assert (lost["name"], lost["properties"]["reason"], lost["properties"]["manager"]) == (
        "deal_lost",
        "Price",
        "Manager 110",
    )
    assert rig.counted("enriched") == 2


async def test_a_lead_that_is_added_as_won_is_two_events(crm: FakeCrm) -> None:
    sample = load("amocrm-leads-add")
    crm.leads["25399015"] = {"contact": "31"}
    collector = of_sample("amocrm-leads-add", api=Rig(crm).hook("amocrm-leads-add")["api"])
    await collector.send({**sample, "body": sample["body"].replace("status_id%5D=1001", "status_id%5D=142")})
    rig = Rig(crm)
    values = [one.value for one in collector.sink.records(TOPICS.hooks)]
    events = await rig("amocrm-leads-add", values=values)
    assert {(one["name"], one["contact_id"]) for one in events} == {("lead_created", ANN), ("payment", ANN)}
    assert not rig.dead_letters()


async def test_amocrms_stages_can_be_named(crm: FakeCrm) -> None:
    [value, _] = await Rig(crm).hooks("amocrm-leads-status")
    value = value.replace(b'\\"status_id\\":\\"142\\"', b'\\"status_id\\":\\"1003\\"')
    value = value.replace(b'\\"status_id\\":\\"143\\"', b'\\"status_id\\":\\"1003\\"')
    [event] = await Rig(crm)("amocrm-leads-status", values=[value], stages={"Offer": "offer_sent"})
    assert (event["name"], event["properties"]["stage"]) == ("offer_sent", "Offer")
    rig = Rig(crm)
    assert await rig("amocrm-leads-status", values=[value]) == []
    [dead_letter] = rig.dead_letters()
    assert (dead_letter["reason"], dead_letter["route"], dead_letter["source"]) == (
        "unknown_stage",
        "/v1/webhooks/amocrm",
        "amocrm",
    )


async def test_bitrix24_says_everything(crm: FakeCrm) -> None:
    [event] = await Rig(crm)("bitrix24-deal-update")
    assert (event["name"], event["contact_id"]) == ("payment", ANN)
    assert event["id"] == "bitrix24:a223c6b3710f85df22e9377d6c4f7553:deal:759:C1:WON:2025-01-01T11:59:00+02:00"
    assert event["occurred_at_ms"] == NOW - 60_000
    assert event["properties"] == {
        "deal_id": "759",
        "order_id": "bitrix24:deal:759",
        "value": "1000.50",
        "currency": "EUR",
        "manager": "Ann Seller",
        "stage": "C1:WON",
        "pipeline": "1",
        "product": "Blue lamp",
        "products": ["Blue lamp"],
        "utm_source": "google",
        "source": "google",
        "channel": "organic search",
    }


async def test_a_template_of_bitrix24_is_no_deal(crm: FakeCrm) -> None:
    crm.leads["759"] = {**BITRIX, "IS_RECURRING": "Y"}
    rig = Rig(crm)
    assert await rig("bitrix24-deal-update") == []
    assert [one["reason"] for one in rig.dead_letters()] == ["test_event"]
    [event] = await rig("bitrix24-deal-update", test=True)
    assert event["name"] == "payment"


@pytest.mark.parametrize(
    ("stage", "semantics", "name", "reason"),
    [
        ("LOSE", "F", "deal_lost", "Too expensive"),
        ("UC_OWN1", "F", "deal_lost", "UC_OWN1"),
        ("UC_OWN2", "S", "payment", None),
        ("C3:PREPARATION", "P", "offer_sent", None),
    ],
)
async def test_bitrix24s_stages(crm: FakeCrm, stage: str, semantics: str, name: str, reason: str | None) -> None:
    crm.leads["759"] = {**BITRIX, "STAGE_ID": stage, "STAGE_SEMANTIC_ID": semantics}
    [event] = await Rig(crm)("bitrix24-deal-update")
    assert (event["name"], event["properties"].get("reason")) == (name, reason)


async def test_a_change_of_bitrix24_that_moves_nothing_is_the_same_event(crm: FakeCrm) -> None:
    rig = Rig(crm)
    values = [*await rig.hooks("bitrix24-deal-add"), *await rig.hooks("bitrix24-deal-update")]
    await rig("bitrix24-deal-update", values=values)
    assert len({one["id"] for one in await rig("bitrix24-deal-update", values=values)}) == 1
    webhooks = hooks_of(rig.hook("bitrix24-deal-update"))
    rig.metrics, rig.sink = EnricherMetrics(), MemorySink()
    crms = crms_of(webhooks, rig.metrics)
    enricher = Enricher(
        webhooks=webhooks, ingest=Ingest(), crms=crms, sink=rig.sink, topics=TOPICS, metrics=rig.metrics
    )
    for value in values:
        await enricher.work_on(value)
    await crms["bitrix24"].close()
    assert len([one for one in rig.sink.records(TOPICS.events) if b'"link":' not in one.value]) == 1
    assert rig.counted("unchanged") == 1


async def test_hubspot_says_whose_deal_it_is(crm: FakeCrm) -> None:
    events = {one["id"].split("-")[1]: one for one in await Rig(crm)("hubspot-deals")}
    assert "order_withdrawn" not in {one["name"] for one in events.values()}
    assert events["101"]["contact_id"] == CONTACTS.of_email("c501@example.com")
    assert events["105"]["contact_id"] == events["102"]["contact_id"] == ANN
    assert events["105"]["properties"]["value"] == "1500.50"
    assert events["105"]["properties"]["manager"] == "Ann Seller"
    assert (events["104"]["name"], events["104"]["properties"]["reason"]) == ("deal_lost", "Too dear")


async def test_hubspot_knows_which_deals_were_won_before(crm: FakeCrm) -> None:
    """Stages of one's own: 12 is won, 11 is open. A move back from 12 withdraws the order; one to 11 from elsewhere
    does not."""
    crm.leads["901"]["moves"] = [("11", NOW - 8_000), ("12", NOW - 90_000)]
    rig = Rig(crm)
    values = [
        value.replace(b"contractsent", b"11") for value in await rig.hooks("hubspot-deals") if b"contract" in value
    ]
    moved, withdrawn = await rig("hubspot-deals", values=values, stages={"11": "offer_sent", "12": "payment"})
    assert (moved["name"], withdrawn["name"]) == ("offer_sent", "order_withdrawn")
    assert withdrawn["contact_id"] == ANN
    assert (withdrawn["properties"]["order_id"], withdrawn["properties"]["value"]) == ("hubspot:deal:901", "1500.50")
    crm.leads["901"]["moves"][1] = ("contractsent", NOW - 90_000)
    rig = Rig(crm)
    assert len(await rig("hubspot-deals", values=values, stages={"11": "offer_sent", "12": "payment"})) == 1


async def test_a_hubspot_deal_that_is_created_as_closed(crm: FakeCrm) -> None:
    rig = Rig(crm)
    [value] = [value for value in await rig.hooks("hubspot-deals") if b"contractsent" in value]
    value = value.replace(b"deal.propertyChange", b"deal.creation").replace(b"propertyName", b"none")
    for stage, said in (("12", {("payment", None)}), ("closedlost", {("deal_lost", "Too dear")}), ("11", set())):
        crm.leads["901"] |= {"moves": [(stage, NOW - 9_000)], "loss": "Too dear"}
        events = [one for one in await Rig(crm)("hubspot-deals", values=[value]) if one["name"][:7] != "hubspot"]
        assert {(one["name"], one["properties"].get("reason")) for one in events} == said


async def test_the_map_of_a_stage_counts_for_a_hubspot_deal_that_is_created_in_it(crm: FakeCrm) -> None:
    [value] = [value for value in await Rig(crm).hooks("hubspot-deals") if b"contractsent" in value]
    value = value.replace(b"deal.propertyChange", b"deal.creation").replace(b"propertyName", b"none")
    crm.leads["901"] |= {"moves": [("12", NOW - 9_000)]}
    for event, said in ((None, "hubspot_deal_creation_closedwon"), ("renewal", "renewal")):
        events = await Rig(crm)("hubspot-deals", values=[value], stages={"12": event})
        assert {one["name"] for one in events} == {"hubspot_deal_creation", said}


async def test_a_deal_of_bitrix24_that_is_won_no_longer_or_changed_since(crm: FakeCrm) -> None:
    won = {"STAGE_ID": "C1:WON", "STAGE_SEMANTIC_ID": "S"}
    now = {"STAGE_ID": "C1:NEW", "STAGE_SEMANTIC_ID": "P"}
    crm.leads["759"] = {**BITRIX, **now, "MOVES": [now, won]}
    reopened = await Rig(crm)("bitrix24-deal-update")
    assert [one["name"] for one in reopened] == ["lead_created", "order_withdrawn"]
    crm.leads["759"] = {**BITRIX, **now, "MOVES": [now]}
    assert len(await Rig(crm)("bitrix24-deal-update")) == 1
    rig = Rig(crm)
    for second, amount in (("20", "900"), ("40", "1000.50")):  # won at 11:59:00
        crm.leads["759"] = {**BITRIX, "OPPORTUNITY": amount, "DATE_MODIFY": f"2025-01-01T11:59:{second}+02:00"}
        events = await rig("bitrix24-deal-update")
    restated = [one for one in events if one["name"] == "order_restated"]
    assert [one["properties"]["value"] for one in restated] == ["900", "1000.50"]
    assert [one["occurred_at_ms"] for one in restated] == [NOW - 40_000, NOW - 20_000]


async def test_what_the_crm_does_not_have_becomes_what_the_hook_says(crm: FakeCrm) -> None:
    crm.leads = {}
    rig = Rig(crm)
    events = await rig("amocrm-leads-status", "bitrix24-deal-update")
    assert sorted(event["name"] for event in events) == ["bitrix24_deal_update", "deal_lost", "payment"]
    assert rig.counted("bare") == 3


async def test_faults_are_waited_out(crm: FakeCrm) -> None:
    crm.faults = deque([429, 500, "drop", "hang", 503, 429, "drop"])
    rig = Rig(crm, {"timeout": "500ms"})
    won, _ = await rig("amocrm-leads-status")
    assert won["properties"]["manager"] == "Manager 109"
    assert not crm.faults
    assert rig.counted("enriched") == 2


async def test_patience_has_an_end_and_the_hook_is_not_lost(crm: FakeCrm) -> None:
    crm.is_away = True
    rig = Rig(crm, {"patience": "1500ms"})
    won, lost = await rig("amocrm-leads-status")
    assert (won["name"], won["anonymous_id"]) == ("payment", "amocrm:example:lead:25399013")
    assert lost["name"] == "deal_lost"
    assert rig.counted("bare") == 2


async def test_a_token_that_is_refused_is_an_outage(crm: FakeCrm) -> None:
    rig = Rig(crm, {"patience": "700ms", "token": "wrong"})
    assert [one["name"] for one in await rig("amocrm-leads-status")] == ["payment", "deal_lost"]
    assert rig.counted("bare") == 2


async def test_people_and_users_are_asked_for_once(crm: FakeCrm) -> None:
    rig = Rig(crm)
    [value] = await rig.hooks("amocrm-leads-add")
    crm.leads["25399015"] = {"contact": "31"}
    webhooks, metrics = hooks_of(rig.hook("amocrm-leads-add")), EnricherMetrics()
    crms = crms_of(webhooks, metrics)
    enricher = Enricher(webhooks=webhooks, ingest=Ingest(), crms=crms, sink=rig.sink, topics=TOPICS, metrics=metrics)
    for number in range(5):
        await enricher.work_on(value.replace(b"25399015", b"2539901%d" % (3 + number % 3)))
    await crms["amocrm"].close()
    assert crm.count("/api/v4/leads/2539901") == 5
    assert crm.count("/api/v4/users/") == 1
    assert crm.count("/api/v4/leads/pipelines/") == 1
    assert crm.count("/api/v4/contacts/") == 2


@pytest.mark.parametrize(
    "number", ["../../v4/account?x=", "1/../../../account", "7/notes", "%2e%2e", "", "1" * 65, "7#"]
)
async def test_an_id_of_a_hook_leads_to_no_other_path(crm: FakeCrm, number: str) -> None:
    lead = {"id": number, "status_id": "142", "pipeline_id": number, "responsible_user_id": number}
    payload = orjson.dumps({"leads": {"status": {"0": lead}}, "account": {"subdomain": "example"}}).decode()
    value = encode_hook(HookRecord(hook="amocrm", id="1", received_at_ms=NOW, payload=payload))
    [event] = await Rig(crm)("amocrm-leads-status", values=[value])
    assert event["name"] == "payment"
    assert {path for _, path in crm.asked} <= {"/api/v4/leads/unknown"}


async def test_every_request_waits_for_its_turn(crm: FakeCrm, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, turn = [0.0], Pace.turn

    async def counted(pace: Pace) -> None:
        await turn(pace)
        turns.append(pace._interval)

    monkeypatch.setattr(Pace, "turn", counted)
    await Rig(crm, {"rate": 1000})("amocrm-leads-status")
    assert len(crm.asked) >= 8
    assert turns[1:] == [0.001] * len(crm.asked)


async def test_a_loop_that_stood_still_lets_no_crowd_through() -> None:
    pace = Pace(20)
    waiting = [asyncio.create_task(pace.turn()) for _ in range(5)]
    await waiting[0]
    time.sleep(0.25)  # noqa: ASYNC251 - the loop stands still, and everybody's turn would be over
    awake = time.monotonic()
    await asyncio.gather(*waiting)
    assert time.monotonic() - awake >= 3 * 0.05  # the first at once, three intervals for the others


async def test_a_pause_holds_back_what_waits() -> None:
    pace, started = Pace(1000), time.monotonic()
    waiting = [asyncio.create_task(pace.turn()) for _ in range(3)]
    pace.hold(0.2)
    await asyncio.gather(*waiting)
    assert time.monotonic() - started >= 0.2


async def test_kafka_is_waited_for(crm: FakeCrm) -> None:
    class Reluctant(MemorySink):
        tries = 0

        async def put(self, records: Any, *, needs_order: bool = False) -> None:
            self.tries += 1
            if self.tries < 3:
                raise SinkUnavailableError("away", 0)
            await super().put(records, needs_order=needs_order)

    rig = Rig(crm, sink=Reluctant())
    assert len(await rig("bitrix24-deal-update")) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "malformed_json"),
        (b"[]", "malformed_json"),
        (encode_hook(HookRecord(hook="amocrm", id="1", received_at_ms=NOW, payload="{}")), "malformed_json"),
        (encode_hook(HookRecord(hook="amocrm", id="1", received_at_ms=NOW, payload="{")), "malformed_json"),
        (encode_hook(HookRecord(hook="gone", id="1", received_at_ms=NOW, payload="{}")), "unsupported_type"),
    ],
    ids=["empty", "array", "nothing", "broken", "unknown"],
)
async def test_what_is_no_hook_becomes_a_dead_letter(crm: FakeCrm, value: bytes, reason: str) -> None:
    rig = Rig(crm)
    assert await rig("amocrm-leads-status", values=[value]) == []
    assert [dead_letter["reason"] for dead_letter in rig.dead_letters()] == [reason]


async def test_a_bug_on_one_hook_costs_that_hook(crm: FakeCrm, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(crm)
    monkeypatch.setattr("producers.webhooks.mapper.Mapper.verdict", lambda *_: 1 / 0)
    await rig("bitrix24-deal-update")
    assert [dead_letter["reason"] for dead_letter in rig.dead_letters()] == ["unsupported_type"]


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after("7", 0) == 7
    assert retry_after("Thu, 01 Jan 1970 00:00:09 GMT", 4) == 5
    assert retry_after("Thu, 01 Jan 1970 00:00:09 GMT", 40) == 0
    assert retry_after("99999", 0) == 300
    assert retry_after("nan", 0) is retry_after("soon", 0) is retry_after(None, 0) is None


def test_pauses_double_up_to_a_minute_and_heed_the_crm() -> None:
    assert 0.4 <= pause_of(0, None) <= 0.6
    assert 48 <= pause_of(50, None) <= 72
    assert pause_of(0, 30) == 30
