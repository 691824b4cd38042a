"""The questions of `funnelcast report` beside the report, as a process over a real server: documents and tables."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_type_hints
from uuid import uuid4

import jsonschema_rs
import pytest

from streams.report.questions.changes import ChangesDocument
from streams.report.questions.paths import PathsDocument
from streams.report.questions.sla import SlaDocument
from streams.report.questions.targets import TargetsDocument
from streams.report.services.forecast import ForecastDocument
from streams.report.services.views import ViewDocument
from streams.store.connection import close, connect
from streams.store.redis import RedisPartitionStore
from tests.support.command import run_command
from tests.support.shop import SHOP, SHOP_FILE, fill
from tests.support.valkey import ValkeyServer
from tests.support.waiting import LIMIT

SCHEMAS = Path(__file__).parents[2] / "docs/json-schemas"
TARGETS = "targets: [{stage: payment, period: 2020-01-01..2035-01-01, goal: 30}]"


@pytest.fixture(scope="module")
def options(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory, space = tmp_path_factory.mktemp("questions"), f"q{uuid4().hex[:8]}"
    (directory / "shop.yaml").write_text(SHOP_FILE)

    async def count() -> None:
        client = connect(valkey_server.url)
        await fill(RedisPartitionStore(client, space), SHOP, now_ms=time.time_ns() // 1_000_000)
        await close(client)

    asyncio.run(count())
    return ["--redis", valkey_server.url, "--space", space, "--funnels", str(directory / "shop.yaml")]


def run(name: str, options: list[str], *arguments: str, code: int = 0) -> str:
    ended, out, err = run_command(name, *arguments, *options, state_dir=Path())
    assert ended == code, err
    return out.decode() if code == 0 else err


def check(document: Any, name: str) -> None:
    """Against the published schema."""
    jsonschema_rs.Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text())).validate(document)


def test_every_question_prints_its_document_and_a_table(options: list[str], tmp_path: Path) -> None:
    said = json.loads(run("annotate", options, "prices +10 %", "--at", "1h", "--json"))
    assert (said["text"], len(said["id"])) == ("prices +10 %", 8)
    (tmp_path / "targets.yaml").write_text(TARGETS)
    asked: list[tuple[list[str], Any, str]] = [
        (["--paths"], PathsDocument, "first contact to payment"),
        (["--targets", str(tmp_path / "targets.yaml")], TargetsDocument, "made"),
        (["--forecast", "--back-test"], ForecastDocument, "nothing to learn from"),
        (["--changes"], ChangesDocument, "prices +10 %"),
        (["--view", "sales"], ViewDocument, "bottleneck"),
        (["--sla", "lead=4h", "--dim", "manager"], SlaDocument, "lead within 4 h"),
    ]
    for arguments, shape, shown in asked:
        document = json.loads(run("report", options, *arguments, "--json"))
        check(document, arguments[0].removeprefix("--"))
        assert set(document) == set(get_type_hints(shape)), arguments
        assert document["funnel"] == "shop"
        assert shown in run("report", options, *arguments)


def test_the_other_documents_are_as_their_schemas_say(options: list[str]) -> None:
    for name, arguments in {
        "report": ["--grain", "day", "--dim", "channel"],
        "comparison": ["--compare"],
        "what_if": ["--what-if", "each=+10%"],
        "profit": ["--profit"],
        "stuck": ["--persons"],
    }.items():
        check(json.loads(run("report", options, *arguments, "--json")), name)
    check(json.loads(run("person", options, "u:u4", "--json")), "person")
    check(json.loads(run("annotate", options, "--list", "--json")), "annotations")
    with pytest.raises(jsonschema_rs.ValidationError):
        check({"ok": True, "findings": [{"part": "redis"}]}, "doctor")


def test_annotations_stand_below_the_report_until_they_are_removed(options: list[str]) -> None:
    said = json.loads(run("annotate", options, "new form", "--funnel", "shop", "--json"))
    assert "new form" in run("report", options)
    assert said in json.loads(run("annotate", options, "--list", "--json"))
    run("annotate", options, "--remove", said["id"])
    assert "new form" not in run("report", options)
    assert "there is no annotation" in run("annotate", options, "--remove", said["id"], code=2)
    assert "write what was changed" in run("annotate", options, code=2)
    assert "there are: shop" in run("annotate", options, "x", "--funnel", "other", code=2)


def test_two_questions_at_once_are_refused(options: list[str]) -> None:
    assert "--paths and --forecast are two questions" in run("report", options, "--paths", "--forecast", code=2)
    assert "add --forecast" in run("report", options, "--back-test", code=2)


def test_rows_as_a_table_and_as_csv(options: list[str]) -> None:
    table = run("report", options, "--dim", "channel", "--sort", "name", "--top", "2")
    for row in ("facebook +80 +40", "google +80 +40", "2 others +80 +40", "all +240 +120"):
        assert re.search(f"^{row} ", table, re.M), table
    header, *lines = run("report", options, "--csv", "--dim", "channel").splitlines()
    assert header.startswith("funnel,version,grain,bucket,channel,overall")
    assert len(lines) == 4
    assert run("report", options, "--csv", "counters").startswith("funnel,version,grain,bucket,dim,stage")
    assert "--json away" in run("report", options, "--csv", "--json", code=2)
    assert "compared with" in run("report", options, "--compare")


def test_who_is_stuck_can_be_asked_for_by_the_id_that_is_shown(options: list[str]) -> None:
    document = json.loads(run("report", options, "--persons", "3", "--json", "--dim", "manager=ann"))
    assert [each["stage"] for each in document["persons"]] == ["lead"] * 3
    assert {each["values"]["manager"] for each in document["persons"]} == {"ann"}
    (person, *_) = [each["person"] for each in document["persons"]]
    assert person in run("report", options, "--persons")
    told = json.loads(run("person", options, person, "--json"))
    assert told["journeys"][0]["entries"][-1]["outcome"] == "open"
    assert "from 1 to 10,000" in run("report", options, "--persons", "0", code=2)
    assert "one value: --dim manager=ann" in run("report", options, "--persons", "--dim", "manager", code=2)
    assert "--persons is of now" in run("report", options, "--persons", "--since", "1d", code=2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watched_report_ends_when_told(options: list[str], number: signal.Signals) -> None:
    line = [sys.executable, "-m", "funnelcast", "report", "--watch", *options]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("shop version 3")
        process.send_signal(number)
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (0, "")
