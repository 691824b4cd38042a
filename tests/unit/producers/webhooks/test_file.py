"""The file of webhooks: what is wrong is told with its place and what to write, and secrets are never told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from producers.webhooks.config import WebhooksError, load_webhooks, parse_webhooks
from producers.webhooks.providers import PROVIDERS
from tests.support.rows import rows

STRIPE = {"name": "shop", "provider": "stripe", "secrets": ["whsec_hidden"]}
AMO = {"name": "crm", "provider": "amocrm", "secrets": ["a-long-secret-0123"]}
EXAMPLE = Path(__file__).parents[4] / "deploy" / "webhooks.example.yaml"


def parse(*hooks: Any, environment: dict[str, str] | None = None) -> Any:
    return parse_webhooks(yaml.safe_dump({"hooks": list(hooks)}), environment or {}, origin="w.yaml")


@rows(
    ("hook", "message"),
    [
        ({**STRIPE, "provider": "paypal"}, "w.yaml: hooks[0].provider: is none of stripe, shopify"),
        ({**STRIPE, "name": "Shop 1"}, "w.yaml: hooks[0].name: must be 1-64 of a-z 0-9 _ -"),
        ({**STRIPE, "secrets": []}, "w.yaml: hooks[0].secrets: is empty; write at least one, e.g. secrets: [env:"),
        ({"name": "shop", "provider": "stripe"}, "w.yaml: hooks[0].secrets: is missing; write e.g. secrets: [env:"),
        ({**STRIPE, "stage": {}}, "w.yaml: hooks[0].stage: unknown key; remove it (did you mean 'stages'?)"),
        ({**AMO, "api": {"tokn": "whsec_hidden"}}, "w.yaml: hooks[0].api.tokn: unknown key; remove it (did you mean"),
        (
            {**STRIPE, "stages": {"a": ""}},
            "w.yaml: hooks[0].stages: 'a' has no name of an event; write e.g. {'a': offer_sent}",
        ),
        ({**STRIPE, "currency": "euro"}, "w.yaml: hooks[0].currency: is no currency; write three letters"),
        ({**STRIPE, "secrets": ["env:NOT_THERE"]}, "w.yaml: hooks[0].secrets[0]: the environment has no NOT_THERE"),
        ({**STRIPE, "api": {"url": "https://x.example"}}, "has an api, which stripe does not need; remove it"),
        ({**AMO, "secrets": ["short"]}, "must be long and random: at least 16 characters"),
        ({**AMO, "api": {"url": "x"}}, "w.yaml: hooks[0].api.url: is no address; write e.g. https://"),
        ({**AMO, "api": {"url": "https://x.example"}}, "api needs a token; write e.g. token: env:"),
        ({**AMO, "api": {"url": "https://x.example", "patience": "soon"}}, "w.yaml: hooks[0].api.patience: "),
        ({"name": "h", "provider": "hubspot", "secrets": ["s"]}, "w.yaml: hooks[0]: needs public_url"),
        ({"name": "g", "provider": "generic", "secrets": ["%"]}, "must be whsec_ and base64"),
    ],
)
def test_a_mistake_is_told_with_its_place(hook: dict[str, Any], message: str) -> None:
    with pytest.raises(WebhooksError) as caught:
        parse(hook)
    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_two_hooks_of_one_name_are_refused() -> None:
    with pytest.raises(WebhooksError, match="'shop' is given twice"):
        parse(STRIPE, STRIPE)


@rows(
    ("written", "message"),
    [("hooks: [", "is neither YAML nor JSON at line"), ("- 1", "starts with `hooks:`"), ("{}", "hooks: is missing")],
)
def test_a_file_that_is_none_is_told(written: str, message: str) -> None:
    with pytest.raises(WebhooksError, match=message):
        parse_webhooks(written, {}, origin="w.yaml")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WebhooksError, match=r"none\.yaml: cannot be read"):
        load_webhooks(tmp_path / "none.yaml", {})


def test_secrets_come_from_the_environment_and_are_not_shown() -> None:
    hooks = parse({**STRIPE, "secrets": ["env:A", "env:B"]}, environment={"A": "whsec_hidden", "B": "whsec_more"})
    assert hooks.hooks[0].credentials.secrets == (b"whsec_hidden", b"whsec_more")
    assert "hidden" not in repr(hooks)
    assert "hidden" not in hooks.model_dump_json()


def test_the_stage_map_adds_to_the_defaults_and_compares_as_names_do() -> None:
    hook = parse({**AMO, "stages": {142: "order_paid", "7/1004": "offer_sent", "Decision Making": None}}).hooks[0]
    assert hook.event_of(("7/142", "142")) == (True, "order_paid")
    assert hook.event_of(("143",)) == (True, "deal_lost")
    assert hook.event_of(("7/1004", "1004")) == (True, "offer_sent")
    assert hook.event_of(("decision-making",)) == (True, None)
    assert hook.event_of(("9/9", "9")) == (False, None)
    assert hook.sent_as == "crm"


def test_the_example_is_a_file_of_webhooks_of_every_provider() -> None:
    names = re.findall(r"env:([A-Z0-9_]+)", EXAMPLE.read_text())
    environment = {
        name: "https://crm.example.com/x" if name.endswith("_URL") else "d2hhdGV2ZXItaXQtaXM=" for name in names
    }
    hooks = load_webhooks(EXAMPLE, environment).hooks
    assert {hook.provider for hook in hooks} == set(PROVIDERS)
