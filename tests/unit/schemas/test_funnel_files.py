"""Funnel files: what loads, what every error says, and that a shown definition is the same definition."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from schemas import conditions
from schemas.funnel.definition import definition_of
from schemas.funnel.load import FunnelError, load_funnel, load_funnels, parse_funnel
from schemas.funnel.presets import preset_names
from schemas.funnel.rules import Condition
from tests.support.rows import rows

CONTRACT_EXAMPLE = """
name: shop
version: 1
timezone: Europe/Athens        # default UTC
currency: EUR                  # default USD
conversion_window: 30d         # ms s m h d w
allowed_lateness: 3d           # default
reentry: window                # default; or completion
traffic: [human]               # default
sources: [web, crm]            # default: all
stages:
  - {name: impression, on: [impression, ad_view], abandon_after: 30m}
  - name: lead
    on: [{event: form_submit, where: {form: contact}}, lead_created]
    abandon_after: 7d
    stalled_after: 2d
    role: lead
  - {name: payment, on: [payment, {event: order_paid, where: {value: {gt: 0}}}], order: true}
  - {name: repeat_purchase, on: [payment], nth: 2}
lost:
  - {on: [lead_lost]}                              # reason from the property `reason`
  - {on: [payment_error], reason: payment_error}
refunds: [refund]              # default
ad_spend: [ad_spend]           # default
dimensions:
  - {name: channel, attribution: first, cap: 100}
  - {name: manager, attribution: stage, property: owner, values: [ann, bob]}
pairs: [[channel, manager]]
"""


def test_the_example_of_the_contract_loads() -> None:
    funnel = parse_funnel(CONTRACT_EXAMPLE)
    assert [stage.name for stage in funnel.stages] == ["impression", "lead", "payment", "repeat_purchase"]
    assert funnel.conversion_window_ms == 30 * 86_400_000
    assert funnel.stages[2].nth == 1
    assert funnel.stages[0].role == "impression"
    assert funnel.dimensions[1].property == "owner"
    assert funnel.funnel_id == "shop@1"
    assert "form_submit" in {rule.event for rule in funnel.stages[1].on}
    assert "lead_lost" in {rule.event for lost in funnel.lost for rule in lost.on}
    assert (funnel.refunds, funnel.ad_spend) == (("refund",), ("ad_spend",))


def test_json_is_read_too() -> None:
    text = '{"name": "j", "conversion_window": "1d", "stages": [{"name": "a", "on": "A b"}]}'
    assert parse_funnel(text).stages[0].on[0].event == "a_b"


def test_a_stage_is_shown_as_it_is_written() -> None:
    text = "name: x\nconversion_window: 1d\nstages: [{name: ' Saw ad ', on: Saw-Ad}, {name: Lead, on: x}]"
    stages = parse_funnel(text).stages
    assert [(stage.name, stage.role, stage.on[0].event) for stage in stages] == [
        ("Saw ad", None, "saw_ad"),
        ("Lead", "lead", "x"),
    ]


def test_yaml_words_that_are_booleans_in_yaml_1_1_stay_words() -> None:
    funnel = parse_funnel("name: a\nconversion_window: 1d\nstages: [{name: x, on: [yes]}]\n")
    assert funnel.stages[0].on[0].event == "yes"


@rows("name", preset_names())
def test_every_preset_loads_and_shows_as_an_equal_definition(name: str) -> None:
    funnel = load_funnel(name)
    assert funnel.name == name
    shown = yaml.safe_dump(definition_of(funnel), sort_keys=False)
    assert parse_funnel(shown).fingerprint == funnel.fingerprint


def test_the_presets_of_the_contract_ship() -> None:
    assert {"sales", "aida", "retention", "b2b8", "retail8", "deal8", "autofunnel", "web"} <= set(preset_names())


def test_a_description_does_not_change_the_fingerprint_and_a_number_does() -> None:
    base = parse_funnel(CONTRACT_EXAMPLE)
    assert parse_funnel(CONTRACT_EXAMPLE + "description: other\n").fingerprint == base.fingerprint
    assert (
        parse_funnel(CONTRACT_EXAMPLE.replace("abandon_after: 7d", "abandon_after: 8d")).fingerprint != base.fingerprint
    )


STAGE = "{name: a, on: [a]}"


def test_a_unit_comes_with_a_lead_in_and_changes_the_fingerprint() -> None:
    base = parse_funnel(CONTRACT_EXAMPLE)
    deals = parse_funnel(CONTRACT_EXAMPLE + "unit: deal_id\n")
    assert (base.unit, base.lead_in_ms) == (None, 0)
    assert (deals.unit, deals.lead_in_ms) == ("deal_id", deals.conversion_window_ms)
    assert "deal_id" in deals.properties
    same = parse_funnel(CONTRACT_EXAMPLE + "unit: deal_id\nlead_in: 30d\n")
    shorter = parse_funnel(yaml.safe_dump(definition_of(deals) | {"lead_in": "7d"}))
    assert len({base.fingerprint, deals.fingerprint, same.fingerprint, shorter.fingerprint}) == 3


SCORED = "name: x\nconversion_window: 1d\nstages: [{name: a, on: [a]}]\n"
TEMPERATURE = "dimensions: [{name: t, property: temperature, attribution: stage}]\n"


TOUCHES = "dimensions: [{name: t, property: journey.touches, attribution: last}]\n"


def test_a_number_of_touches_shows_as_an_equal_definition() -> None:
    funnel = parse_funnel(SCORED + TOUCHES)
    assert len({parse_funnel(yaml.safe_dump(definition_of(funnel))).fingerprint, funnel.fingerprint}) == 1


def scoring(text: str, dimensions: str = TEMPERATURE) -> str:
    return f"{SCORED}{dimensions}scoring: {text}"


def test_a_scored_funnel_shows_as_an_equal_definition() -> None:
    text = (
        "{warm: 5, hot: 9, half_life: 2d, points: [{on: b, points: 5}, {on: [{event: c, where: {k: 1}}], points: -2}]}"
    )
    funnel, other = parse_funnel(scoring(text)), parse_funnel(scoring(text.replace("hot: 9", "hot: 8")))
    assert funnel.dimensions[0].values == ("cold", "warm", "hot")
    assert {"b", "c"} <= funnel.event_names
    assert "k" in funnel.properties
    shown = parse_funnel(yaml.safe_dump(definition_of(funnel)))
    assert len({shown.fingerprint, funnel.fingerprint}) == 1
    assert len({other.fingerprint, funnel.fingerprint, parse_funnel(SCORED + TEMPERATURE).fingerprint}) == 3


@rows(
    ("text", "path", "says"),
    [
        ("conversion_window: 1d\nstages: [" + STAGE + "]", "name", "is missing"),
        (SCORED + TOUCHES.replace("last", "first"), "dimensions[0]", "write attribution: last"),
        (SCORED + TOUCHES.replace("last", "last, values: [3]"), "dimensions[0]", "leave values out"),
        (SCORED + TOUCHES.replace("journey.touches", "journey.visits"), "dimensions[0]", "journey.touches"),
        ("name: x\nconversion_window: 3x\nstages: [" + STAGE + "]", "conversion_window", "30m, 12h or 7d"),
        ("name: x\nconversion_window: 30\nstages: [" + STAGE + "]", "conversion_window", "30m, 12h or 7d"),
        ("name: x\nconversion_window: 1d\nstages: []", "stages", "at least one"),
        (scoring("{warm: 5, hot: 5, points: [{on: a, points: 5}]}"), "scoring", "rise from cold"),
        (scoring("{warm: 5, hot: 9, points: [{on: a, points: 2000}]}"), "scoring.points[0].points", "-1000 to 1000"),
        (scoring("{warm: 5, hot: 9, points: []}"), "scoring.points", "at least one"),
        (scoring("{warm: 5, hot: 9, points: [{on: order_withdrawn, points: 5}]}"), "", "no rule may name it"),
        (scoring("{warm: 5, hot: 9, points: [{on: a, points: 5}]}", ""), "", "add the dimension"),
        ("name: x\nconversion_window: 1d\nlead_in: 1h\nstages: [" + STAGE + "]", "lead_in", "unit: deal_id"),
        ("name: x\nconversion_window: 1d\nunit: id\nlead_in: 2d\nstages: [" + STAGE + "]", "lead_in", "longer"),
        ("name: x\nconversion_window: 1d\nunit: value\nstages: [" + STAGE + "]", "unit", "is money"),
        ("name: x\nconversion_window: 1d\nstages: [{name: a, on: a, abandon_afer: 1d}, {name: b, on: b}]",
         "stages[0].abandon_afer", "did you mean 'abandon_after'"),
        ("name: x\nconversion_window: 1d\nstages: [{name: a, on: a}, {name: A, on: b}]", "stages", "stands twice"),
        ("name: x\nconversion_window: 1d\nstages: [{name: a, on: a, abandon_after: 1h}]",
         "stages[0].abandon_after", "last stage"),
        ("name: x\ncurrency: EURO\nconversion_window: 1d\nstages: [" + STAGE + "]", "currency", "ISO-4217"),
        ("name: x\ntraffic: [bots]\nconversion_window: 1d\nstages: [" + STAGE + "]", "traffic", "human bot prefetch"),
        ("name: x\ntimezone: Mars/Base\nconversion_window: 1d\nstages: [" + STAGE + "]", "timezone", "IANA"),
        ("name: x\nconversion_window: 1d\npairs: [[a, b]]\nstages: [" + STAGE + "]", "pairs", "no dimension"),
        ("name: x\nconversion_window: 1d\nstages: [{name: a, on: [{event: e, where: {v: {gte: x}}}]}]",
         "stages[0].on[0].where", "compares numbers"),
        ("name: x\nconversion_window: 1d\nstages: [{name: a, on: [{event: e, where: {v: {near: 1}}}]}]",
         "stages[0].on[0].where", "unknown comparison"),
        ("name: x\nconversion_window: 1d\nstages: [{name: a, on: a, role: buyer}]", "stages[0].role", "write one of"),
        ("name: x\nconversion_window: 1d\nstages: [{name: a, on: a, order: true, nth: 2}]", "stages[0]", "not both"),
        ("name: x\nconversion_window: 1d\nlost: [foo]\nstages: [" + STAGE + "]", "lost[0]", "write e.g. {on: [lead"),
        ("- a", "", "must be a mapping"),
        ("a: [", "", "neither YAML nor JSON"),
    ],
)  # fmt: skip
def test_an_error_names_the_file_the_path_and_what_to_write(text: str, path: str, says: str) -> None:
    with pytest.raises(FunnelError) as caught:
        parse_funnel(text, origin="shop.yaml")
    message = str(caught.value)
    assert message.startswith(f"shop.yaml: {path}")
    assert says in message


def test_unknown_references_name_the_presets(tmp_path: Path) -> None:
    with pytest.raises(FunnelError, match="did you mean 'sales'"):
        load_funnel("sale")
    with pytest.raises(FunnelError, match="no funnel given"):
        load_funnels([])
    with pytest.raises(FunnelError, match="given twice"):
        load_funnels(["sales", "sales"])
    binary = tmp_path / "x.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FunnelError, match="UTF-8"):
        load_funnel(str(binary))


@rows(
    ("op", "operand", "value", "holds"),
    [
        ("eq", "contact", "contact", True),
        ("eq", "contact", "Contact", False),
        ("eq", 5, 5.0, True),
        ("eq", 5, "5", False),
        ("eq", True, 1, False),
        ("eq", True, True, True),
        ("in", ("a", 2), 2, True),
        ("in", ("a", 2), "b", False),
        ("gt", 0, "19.99", True),
        ("gt", 0, 0, False),
        ("gte", 0, 0, True),
        ("lt", 10, 9.99, True),
        ("lte", 10, "x", False),
        ("ne", "a", "b", True),
        ("ne", "a", None, False),
        ("exists", True, None, False),
        ("exists", False, None, True),
        ("exists", True, "", True),
        ("gt", 0, True, False),
        ("eq", "x", ["x"], False),
    ],
)
def test_conditions(op: str, operand: object, value: object, holds: bool) -> None:
    condition = Condition(property="p", op=op, operand=operand)  # type: ignore[arg-type]
    assert conditions.holds(condition.op, condition.operand, value) is holds


@rows("name", ["order_withdrawn", "Order Restated"])
def test_what_changes_an_order_is_of_no_rule(name: str) -> None:
    for part in (f"refunds: ['{name}']", f"lost: [{{on: ['{name}']}}]", f"ad_spend: ['{name}']"):
        with pytest.raises(FunnelError, match="changes an order in every funnel"):
            parse_funnel(f"{{name: f, conversion_window: 1d, stages: [{{name: a, on: [a]}}], {part}}}")
