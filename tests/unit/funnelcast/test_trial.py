"""`funnels try`: what each stage takes, and why an event is taken by none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from funnelcast.trial import Trial
from schemas.funnel.load import parse_funnel

FUNNEL = """
name: pages
version: 1
conversion_window: 30d
stages:
  - {name: home, on: [page_view]}
  - {name: product, on: [{event: page_view, where: {page.path: {starts_with: /p/}}}]}
  - {name: checkout, on: [{event: page_view, where: {page.path: {matches: "^/checkout/?$"}}}]}
  - {name: signup, on: [{event: form_submit, where: {form: [signup, trial], page.title: {exists: true}}}]}
  - {name: payment, on: [payment], order: true}
lost: [{on: [unsubscribe]}]
"""


def page(name: str, url: str | None = None, **more: Any) -> dict[str, Any]:
    context = {} if url is None else {"page": {"url": f"https://shop.example{url}"}}
    return {"name": name, "anonymous_id": "v", "occurred_at_ms": 1_750_000_000_000, "context": context, **more}


def test_what_stages_take_and_why_not(tmp_path: Path) -> None:
    events = [
        page("page_view", "/"),
        page("page_view", "/p/shoe?size=9"),
        page("Page View", "/checkout/"),
        page("form_submit", "/", properties={"form": "contact"}),
        page("form_submit", "/", properties={"form": "signup"}),
        page("paymnt", properties={"value": 5}),
        page("payment", properties={"order_id": "o1", "value": 5}),
        page("unsubscribe"),
        page("page_view", "/", properties={"traffic": "bot"}),
        {"name": "page_view"},
    ]
    file = tmp_path / "events.jsonl"
    lines = [json.dumps({"id": f"e{number}", **event}) for number, event in enumerate(events)]
    file.write_text("\n".join(lines) + "\n")
    trial = Trial(parse_funnel(FUNNEL))
    trial.read(file)
    said = json.loads(json.dumps(trial.document()))
    assert {stage["name"]: [one["line"] for one in stage["examples"]] for stage in said["stages"]} == {
        "home": [1],
        "product": [2],
        "checkout": [3],
        "signup": [],
        "payment": [7],
    }
    assert (said["events"], said["lost"], said["rejected"]) == (9, 1, {"invalid_time": 1})
    assert said["left_out"] == {"traffic bot": 1}
    assert said["names_without_rule"] == [{"name": "paymnt", "events": 1, "did_you_mean": "payment"}]
    failed = {(one["stage"], one["condition"], one["examples"][0]["value"]) for one in said["conditions_failed"]}
    assert failed == {
        ("signup", "form in ['signup', 'trial']", "contact"),
        ("signup", "page.title exists True", None),
    }
