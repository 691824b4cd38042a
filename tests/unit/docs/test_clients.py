"""docs/clients.md says what the formats do: paths, tables, examples."""

from __future__ import annotations

import re
from pathlib import Path

from producers.attribution.channels import shipped
from producers.attribution.links import CLICK_IDS
from producers.collector.routes import all_routes
from producers.formats import ga4, ga4_rules, posthog, snowplow_fields
from producers.ingest.checks import Ingest
from tests.support.rows import rows

DOCS = Path(__file__).parents[3] / "docs"
DOC = (DOCS / "clients.md").read_text()
ORIGINS = "Where visitors come from"
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOC, re.MULTILINE | re.DOTALL))
EVERYWHERE = "\n".join(one.read_text() for one in sorted(DOCS.glob("*.md")))


@rows("path", all_routes(Ingest()).paths())
def test_every_path_is_described_somewhere(path: str) -> None:
    assert path.rstrip("*") in EVERYWHERE


def test_the_click_ids_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| ((?:`\w+` ?)+) \| (\w+) \| (\w+) \|$", SECTIONS[ORIGINS], re.MULTILINE)
    assert {name: tuple(said) for names, *said in rows for name in re.findall(r"\w+", names)} == CLICK_IDS


def test_the_channels_are_those_that_ship() -> None:
    listed = re.findall(r"^\| ([a-z -]+) \| .+ \|$", SECTIONS[ORIGINS].partition("| Channel |")[2], re.MULTILINE)
    assert listed == [group.name for group in shipped()] + ["unassigned"]


def test_snowplows_fields_are_those_of_the_code() -> None:
    section = SECTIONS["Snowplow"]
    for kind, names in snowplow_fields.PROPERTIES.items():
        row = next(line for line in section.splitlines() if line.startswith(f"| `{kind}` |"))
        assert dict(re.findall(r"`(\w+)` `(\w+)`", row.partition(" | ")[2])) == names
    for kind, name in snowplow_fields.NAMES.items():
        assert f"| `{kind}` | `{name}` |" in section
    for field, (_, name) in snowplow_fields.CONTEXT.items():
        assert f"`{field}`" in section
        assert name in section


def test_posthogs_members_are_those_of_the_code() -> None:
    section = SECTIONS["PostHog"]
    for member in (*posthog._NAMES, *posthog._NAMES.values(), *posthog._PLACES):
        assert f"`{member}`" in section
    for place in posthog._PLACES.values():
        assert place is None or re.search(rf"\.{place[1]}`", section)


def test_ga4s_members_and_limits_are_those_of_the_code() -> None:
    section = SECTIONS["GA4 Measurement Protocol"]
    for param, member in ga4._PAGE.items():
        assert f"`{param}`" in section
        assert f".{member}`" in section
    for number, what in (
        (ga4_rules.EVENTS, "events a request"),
        (ga4_rules.PARAMS, "parameters an event"),
        (ga4_rules.USER_PROPERTIES, "user properties"),
        (ga4_rules.BACKDATE_HOURS, "hours back"),
    ):
        assert f"{number} {what}" in section
    assert f"names of {ga4_rules.NAME_CHARS} characters, values of {ga4_rules.VALUE_CHARS}" in section


@rows("example", re.findall(r"^```python\n(.*?)^```", DOC, re.MULTILINE | re.DOTALL))
def test_the_examples_are_python(example: str) -> None:
    compile(example, "docs/clients.md", "exec")
