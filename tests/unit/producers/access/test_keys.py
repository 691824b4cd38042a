"""Write keys at rest, and the commands that make, list and revoke them."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from funnelcast.commands.keys import app
from producers.access.keys import (
    KeyRing,
    StoredKey,
    create_key,
    hash_key,
    read_keys,
    revoke_key,
    write_keys,
)
from producers.http.body import RequestError
from producers.ingest.verdicts import Scope, Sender
from schemas.errors import InputFileError
from schemas.reasons import RejectReason
from tests.support.rows import rows


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


@rows("content", ["{", "[]", '{"keys": [{"id": 1}]}', '{"keys": 3}'])
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


def test_a_file_of_an_older_release_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    stored = {"id": "1", "sha256": hash_key("fcb_x"), "source": "web", "scope": "browser", "created_at": ""}
    path.write_text(json.dumps({"keys": [stored]}))
    assert read_keys(path) == [StoredKey("1", hash_key("fcb_x"), "web", "browser", "")]
    assert KeyRing(path).sender_of("fcb_x") == Sender("web", Scope.BROWSER)
    write_keys(path, read_keys(path))
    assert json.loads(path.read_text()) == {"keys": [stored]}


def test_a_revoked_key_is_told_so_and_an_unknown_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, stored = create_key(path, source="web", scope=Scope.BROWSER, created_at="", app_ids=("shop",))
    assert revoke_key(path, stored.id)
    assert not revoke_key(path, stored.id)
    ring = KeyRing(path)
    for ask in (partial(ring.sender_of, key), partial(ring.sender_of_app, "shop")):
        with pytest.raises(RequestError, match=stored.id) as refused:
            ask()
        assert refused.value.reason is RejectReason.REVOKED_KEY
    assert ring.sender_of(key + "x") is None
    assert not any(one.may_send for one in read_keys(path))


def test_a_read_key_reads_and_never_sends(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, stored = create_key(path, source="prometheus", scope=Scope.READ, created_at="")
    writing, _ = create_key(path, source="crm", scope=Scope.SERVER, created_at="")
    ring = KeyRing(path)
    assert key.startswith("fcr_")
    with pytest.raises(RequestError, match="read key cannot send") as refused:
        ring.sender_of(key)
    assert refused.value.reason is RejectReason.BAD_KEY
    assert [ring.may_read(one) for one in (key, writing, "", None, key + "x")] == [True, False, False, False, False]
    revoke_key(path, stored.id)
    assert not KeyRing(path).may_read(key)


def test_a_public_name_stands_for_the_newest_active_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    make = partial(create_key, path, scope=Scope.BROWSER, created_at="")
    make(source="old", app_ids=("shop", "blog"))
    _, newer = make(source="new", app_ids=("shop",))
    ring = KeyRing(path)
    assert ring.sender_of_app("shop") == Sender("new", Scope.BROWSER)
    assert ring.sender_of_app("blog") == Sender("old", Scope.BROWSER)
    assert [ring.sender_of_app(one) for one in ("other", "", None)] == [None] * 3
    assert KeyRing(path, open_sender=Sender()).sender_of_app("other") == Sender()
    revoke_key(path, newer.id)
    assert KeyRing(path).sender_of_app("shop") == Sender("old", Scope.BROWSER)


def test_what_a_key_may_travels_with_the_sender(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    options: dict[str, Any] = {"origins": ("https://shop.example",), "allow": ("Order Completed",), "rate": 5.0}
    key, _ = create_key(path, source="web", scope=Scope.BROWSER, created_at="", **options)
    sender = KeyRing(path).sender_of(key)
    assert sender is not None
    assert sender.origins == ("https://shop.example",)
    assert sender.allow == {"order_completed"}
    assert sender.rate == 5.0


@rows(
    ("scope", "options"),
    [
        (Scope.SERVER, {"origins": ("https://shop.example",)}),
        (Scope.SERVER, {"allow": ("payment",)}),
        (Scope.HISTORICAL, {"app_ids": ("shop",)}),
        (Scope.BROWSER, {"rate": 0.0}),
        (Scope.BROWSER, {"origins": ("*",)}),
        (Scope.BROWSER, {"origins": ("*.example",)}),
        (Scope.BROWSER, {"origins": ("https://shop.example/path",)}),
    ],
)
def test_options_that_could_never_work_are_refused(tmp_path: Path, scope: Scope, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"origin|--allow|--app-id|--rate"):
        create_key(tmp_path / "keys.json", source="web", scope=scope, created_at="", **options)
    assert not (tmp_path / "keys.json").exists()


def test_keys_made_and_revoked_at_once_are_all_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = [create_key(path, source="old", scope=Scope.SERVER, created_at="")[1].id for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        creations = [pool.submit(create_key, path, source="new", scope=Scope.SERVER, created_at="") for _ in range(8)]
        revoked = [pool.submit(revoke_key, path, one) for one in first]
        assert all(one.result() for one in creations)
        assert all(one.result() for one in revoked)
    stored = read_keys(path)
    assert len(stored) == 16
    assert {one.id for one in stored if one.revoked_at} == set(first)


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUNNELCAST_KEYS", "keys.json")
    runner = CliRunner()
    created = runner.invoke(app, ["create", "--source", "web"])
    assert created.exit_code == 0
    assert KeyRing(tmp_path / "keys.json").sender_of(created.stdout.strip()) == Sender("web", Scope.BROWSER)
    as_json = json.loads(runner.invoke(app, ["create", "--source", "crm", "--scope", "server", "--json"]).stdout)
    assert as_json.keys() == {"key", "id", "source", "scope", "created_at"}
    listed = json.loads(runner.invoke(app, ["list", "--json"]).stdout)
    assert [(one["source"], one["scope"]) for one in listed] == [("web", "browser"), ("crm", "server")]
    assert runner.invoke(app, ["revoke", as_json["id"]]).exit_code == 0
    assert runner.invoke(app, ["revoke", as_json["id"]]).exit_code == 1
    listed = json.loads(runner.invoke(app, ["list", "--json"]).stdout)[:2]
    assert ["revoked_at" in one for one in listed] == [False, True]
    into_file = runner.invoke(app, ["create", "--source", "web", "--key-file", "web.key"])
    key = (tmp_path / "web.key").read_text().strip()
    assert key not in into_file.output
    assert (tmp_path / "web.key").stat().st_mode & 0o777 == 0o600
    assert KeyRing(tmp_path / "keys.json").sender_of(key) == Sender("web", Scope.BROWSER)
    assert runner.invoke(app, ["create", "--source", "web", "--key-file", "web.key"]).exit_code == 2
    assert runner.invoke(app, ["create", "--source", " "]).exit_code == 2
    assert runner.invoke(app, ["create", "--source", "x", "--scope", "admin"]).exit_code == 2


def test_the_commands_with_everything_a_browser_key_may_have(tmp_path: Path) -> None:
    runner, keys = CliRunner(), ["--keys", str(tmp_path / "keys.json")]
    assert "no keys yet" in runner.invoke(app, ["list", *keys]).stderr
    origins = ["--origin", "https://Shop.example/", "--origin", "*.shop.example"]
    limits = [*origins, "--allow", "payment", "--rate", "20", "--app-id", "shop"]
    created = runner.invoke(app, ["create", "--source", "web", "--scope", "browser", "--json", *limits, *keys])
    shown = json.loads(created.stdout)
    assert shown["origins"] == ["https://shop.example", "*.shop.example"]
    assert (shown["allow"], shown["rate"], shown["app_ids"]) == (["payment"], 20.0, ["shop"])
    assert "sha256" not in created.stdout
    listed = " ".join(runner.invoke(app, ["list", *keys]).stdout.split())
    assert "origins https://shop.example *.shop.example; also payment; app shop; 20/s" in listed
    refused = runner.invoke(app, ["create", "--source", "web", "--scope", "server", "--allow", "payment", *keys])
    assert refused.exit_code == 2
