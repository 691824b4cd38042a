"""`funnelcast keys create` as it is typed: every option arrives in the file."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from funnelcast.cli import app

OPTIONS = ("--source", "web", "--scope", "browser", "--origin", "https://shop.example", "--allow", "payment")


def test_every_option_arrives(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    options = (*OPTIONS, "--rate", "5", "--app-id", "shop", "--traffic", "canary")
    answer = CliRunner().invoke(app, ["keys", "create", *options, "--keys", str(path), "--json"])
    assert answer.exit_code == 0, answer.output
    (stored,) = json.loads(path.read_text())["keys"]
    told = {name: stored[name] for name in ("source", "scope", "origins", "allow", "rate", "app_ids", "traffic")}
    assert told == {
        "source": "web",
        "scope": "browser",
        "origins": ["https://shop.example"],
        "allow": ["payment"],
        "rate": 5.0,
        "app_ids": ["shop"],
        "traffic": "canary",
    }
