"""`funnelcast init` as a user runs it: files that work together, and nothing that was there is lost."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from tests.support import template
from tests.support.waiting import LIMIT

CSV = "Order,Created at,Email,Total,Currency\n1001,2025-03-01 10:00,a@example.com,19.99,EUR\n"


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FUNNELCAST_")}
    code, out, err = template.run([*arguments], clean, directory, LIMIT)
    return code, out.decode(), err.decode()


def test_what_it_writes_is_what_the_commands_read(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(CSV)
    asked = ("init", "--site", "https://shop.example", "--currency", "eur", "--csv", "orders.csv", "--json")
    code, out, err = run(tmp_path, *asked)
    assert code == 0, err
    begun = json.loads(out)
    expected = ["funnelcast.toml", "shop.yaml", "orders-import.yaml", "keys.json", "history.key"]
    assert begun["files"] == expected
    assert all((tmp_path / name).is_file() for name in expected)
    assert begun["key"].startswith("fcb_")
    assert [command.rpartition("funnelcast ")[2].split()[0] for command in begun["commands"]] == [
        "stack",
        "import",
        "snippet",
        "report",
    ]
    assert run(tmp_path, "funnels", "check", "shop.yaml")[0] == 0
    assert "currency: EUR" in (tmp_path / "shop.yaml").read_text()
    settings = json.loads(run(tmp_path, "config", "--json")[1])
    assert (settings["funnels"]["value"], settings["key_file"]["value"]) == (["shop.yaml"], "history.key")
    (listed, _) = json.loads(run(tmp_path, "keys", "list", "--json")[1])
    assert (listed["scope"], listed["origins"]) == ("browser", ["https://shop.example"])
    import_file = tmp_path / "orders-import.yaml"
    import_file.write_text(
        re.sub(r"\S*\?\?\?.*", "payment", import_file.read_text())
    )  # what a row is, nobody can guess
    code, out, err = run(tmp_path, "import", "orders-import.yaml", "--dry-run")
    assert code == 0, out + err
    assert (tmp_path / "history.key").stat().st_mode & 0o777 == 0o600

    (tmp_path / "shop.yaml").write_text("mine")
    code, _, err = run(tmp_path, "init")
    assert (code, "shop.yaml" in err, "--force" in err) == (2, True, True)
    assert (tmp_path / "shop.yaml").read_text() == "mine"
    assert run(tmp_path, "init", "--force")[0] == 0
    assert "stages:" in (tmp_path / "shop.yaml").read_text()


def test_an_answer_that_cannot_be_used_writes_nothing(tmp_path: Path) -> None:
    for flag, text, said in (
        ("--site", "shop", "https://shop.example"),
        ("--funnel", "nosuch", "web"),
        ("--currency", "Euro", "EUR"),
        ("--csv", "none.csv", "no such file"),
        ("--name", "../x", "small letters"),
    ):
        code, _, err = run(tmp_path, "init", flag, text)
        assert (code, said in err) == (2, True), (flag, err)
        assert list(tmp_path.iterdir()) == [], flag
