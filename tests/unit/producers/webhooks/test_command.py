"""`funnelcast webhooks`: the file in a table, a hook's map, a delivery tried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from funnelcast.commands.webhooks import app
from funnelcast.settings import SettingsError
from producers.webhooks.config import WebhooksError
from tests.support.webhooks import load, write_hooks

SAMPLES = ("stripe-session-completed", "shopify-orders-paid", "pipedrive-deal-stage", "amocrm-leads-status")


@pytest.fixture
def file(tmp_path: Path) -> str:
    api = {"url": "https://example.amocrm.com", "token": "hidden"}
    hooks = [load(name)["webhook"] for name in SAMPLES]
    return str(write_hooks(tmp_path / "webhooks.yaml", *hooks[:3], {**hooks[3], "api": api}))


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def tried(file: str, sample: str, tmp_path: Path, *flags: str, code: int = 0) -> list[dict[str, Any]]:
    body = tmp_path / "body"
    body.write_text(load(sample)["body"])
    name = sample.partition("-")[0]
    outcomes: list[dict[str, Any]] = json.loads(
        run("try", name, str(body), "--webhooks", file, "--json", *flags, code=code)
    )
    return outcomes


def test_the_file_is_shown_without_its_secrets(file: str) -> None:
    shown = run("check", "--webhooks", file)
    assert "/v1/webhooks/amocrm/<secret>" in shown
    for name in SAMPLES:
        assert load(name)["webhook"]["secrets"][0] not in shown
    rows = json.loads(run("check", "--webhooks", file, "--json"))
    assert [row["details"] for row in rows] == ["", "", "", "enricher"]


def test_a_mistake_ends_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(WebhooksError, match="public_url"):
        run(
            "check",
            "--webhooks",
            str(write_hooks(tmp_path / "w", {"name": "h", "provider": "hubspot", "secrets": ["s"]})),
        )
    with pytest.raises(SettingsError, match="FUNNELCAST_WEBHOOKS"):
        run("check")


def test_a_hooks_map_is_shown(file: str) -> None:
    assert json.loads(run("show", "amocrm", "--webhooks", file, "--json"))["142"] == "payment"
    assert "offer_sent" in run("show", "stripe", "--webhooks", file)
    with pytest.raises(SettingsError, match="there is no hook 'x'; there are amocrm, pipedrive, shopify, stripe"):
        run("show", "x", "--webhooks", file)


def test_a_delivery_is_tried(file: str, tmp_path: Path) -> None:
    [outcome] = tried(file, "stripe-session-completed", tmp_path)
    assert (outcome["event"], outcome["looked at by"]) == (
        "payment",
        "sales: payment, sales: repeat_purchase, web: payment",
    )
    assert (outcome["person"]["user_id"], outcome["person"]["contact_id"]) == ("u-17", "made of the e-mail or phone")
    [outcome] = tried(file, "shopify-orders-paid", tmp_path, "--header", "X-Shopify-Topic: orders/paid")
    assert (outcome["event"], outcome["properties"]["value"]) == ("order_paid", "403.00")
    won, lost = tried(file, "amocrm-leads-status", tmp_path)
    assert (won["then"], lost["looked at by"]) == ("the enricher asks the CRM", "sales: lost")


def test_a_stage_that_is_not_mapped_is_told(file: str, tmp_path: Path) -> None:
    [outcome] = tried(file, "pipedrive-deal-stage", tmp_path, code=1)
    assert outcome["rejected"] == "unknown_stage"
    body = tmp_path / "body"
    assert "unknown_stage" in run("try", "pipedrive", str(body), "--webhooks", file, code=1)
    body.write_text("{")
    with pytest.raises(SettingsError, match="the delivery cannot be read"):
        run("try", "pipedrive", str(body), "--webhooks", file)
