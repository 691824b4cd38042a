"""Write keys at rest, and the commands that make, list and revoke them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from funnelcast.commands.keys import app
from producers.ingest import Scope, Sender
from producers.keys import InputFileError, KeyRing, create_key, read_keys


def test_the_file_holds_hashes_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys.json"
    key, stored = create_key(path, source="web", scope=Scope.BROWSER, created_at="2025-01-01T00:00:00+00:00")
    other, _ = create_key(path, source="crm", scope=Scope.SERVER, created_at="2025-01-01T00:00:00+00:00")
    assert key.startswith("fcb_")
    assert len(key) > 40
    assert key != other
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = KeyRing(path)
    assert ring.sender_of(key) == Sender("web", Scope.BROWSER)
    assert ring.sender_of(other) == Sender("crm", Scope.SERVER)
    for wrong in (None, "", key[:-1], key + "x", stored.sha256):
        assert ring.sender_of(wrong) is None


def test_an_open_ring_knows_keys_too(tmp_path: Path) -> None:
    key, _ = create_key(tmp_path / "k", source="imp", scope=Scope.HISTORICAL, created_at="")
    ring = KeyRing(tmp_path / "k", open_sender=Sender())
    assert ring.sender_of(key) == Sender("imp", Scope.HISTORICAL)
    assert ring.sender_of(None) == Sender("default", Scope.SERVER)
    assert ring.sender_of("unknown") is None
    assert KeyRing(None, open_sender=Sender()).sender_of("anything") == Sender("default", Scope.SERVER)


@pytest.mark.parametrize("content", ["{", "[]", '{"keys": [{"id": 1}]}', '{"keys": 3}'])
def test_a_broken_file_is_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(InputFileError, match="funnelcast keys create"):
        read_keys(path)


def test_an_unknown_scope_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    create_key(path, source="web", scope=Scope.SERVER, created_at="")
    path.write_text(path.read_text().replace('"server"', '"admin"'))
    with pytest.raises(InputFileError, match="admin"):
        read_keys(path)


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUNNELCAST_KEYS", "keys.json")
    runner = CliRunner()
    made = runner.invoke(app, ["create", "--source", "web", "--scope", "browser"])
    assert made.exit_code == 0
    assert KeyRing(tmp_path / "keys.json").sender_of(made.stdout.strip()) == Sender("web", Scope.BROWSER)
    as_json = json.loads(runner.invoke(app, ["create", "--source", "crm", "--json"]).stdout)
    assert as_json.keys() == {"key", "id", "source", "scope"}
    listed = json.loads(runner.invoke(app, ["list", "--json"]).stdout)
    assert [(one["source"], one["scope"]) for one in listed] == [("web", "browser"), ("crm", "server")]
    assert runner.invoke(app, ["revoke", as_json["id"]]).exit_code == 0
    assert runner.invoke(app, ["revoke", as_json["id"]]).exit_code == 1
    assert len(json.loads(runner.invoke(app, ["list", "--json"]).stdout)) == 1
    assert runner.invoke(app, ["create", "--source", " "]).exit_code == 2
    assert runner.invoke(app, ["create", "--source", "x", "--scope", "admin"]).exit_code == 2
