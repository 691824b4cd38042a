"""The files of a new installation: settings, a funnel, keys, an import file. Writes nothing over what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from producers.access.keys import KeyOptionError, create_key
from producers.files.durable import write_atomically
from producers.importer.suggest import suggested
from producers.ingest.verdicts import Scope
from schemas.errors import UsageError
from schemas.funnel.load import parse_funnel
from schemas.funnel.presets import preset_names, preset_text

SETTINGS: Final = Path("funnelcast.toml")
KEYS: Final = Path("keys.json")
HISTORY_KEY: Final = Path("history.key")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

_SETTINGS_TEXT: Final = """\
# Settings of this installation. A flag or a FUNNELCAST_ variable of the environment comes before this file;
# `funnelcast config` prints what is in effect and where it comes from.

# Definitions that are counted: files, or names of presets (`funnelcast funnels list`).
funnels = {funnels}

# Hashed write keys (`funnelcast keys list`).
keys = {keys}
{history}
# Where your own Kafka and Redis (or Valkey) are. Without them `funnelcast stack up --all` starts both here, to try.
# kafka = "kafka:9092"
# redis = "redis://redis:6379"
"""
_FUNNEL_HEAD: Final = """\
# A funnel, as data. `funnelcast funnels check {file}` says what is wrong and what to write instead.
# Change it as you like; once it has counted something, write a higher `version` with each change.
#
# stages: the steps, in order. `on`: the events that enter one, by name or with a condition on the page or a property:
#     - {{name: pricing, on: [{{event: page_view, where: {{page.path: /pricing}}}}]}}
# abandon_after: who does not go on for so long has left. order: true: the events carry money (order_id, value).
# lost: events that end a journey, with a reason. dimensions: by what else is counted, such as channel.
# currency, timezone: of the reports.
"""


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The four answers."""

    site: str = ""
    """Address of the pages, e.g. https://shop.example; empty: pages of every site may send."""
    funnel: str = "web"
    """The preset that the funnel begins as."""
    currency: str = "USD"
    csv: Path | None = None
    """A table of what happened before."""
    name: str = "shop"


@dataclass(frozen=True, slots=True)
class Begun:
    """What was written."""

    files: list[Path]
    browser_key: str
    import_file: Path | None


def begin(directory: Path, answers: Beginning, *, over: bool = False) -> Begun:
    """Write the files. Raises UsageError where an answer cannot be used, or where a file is there and not `over`."""
    texts = _texts(answers)
    _check_free(directory, [*texts, KEYS, *([HISTORY_KEY] if answers.csv else [])], over=over)
    now, keys = datetime.now(UTC).isoformat(timespec="seconds"), directory / KEYS
    if over:
        keys.unlink(missing_ok=True)
    files = [KEYS]
    try:
        origins = (answers.site,) if answers.site else ()
        key, _ = create_key(keys, source="web", scope=Scope.BROWSER, created_at=now, origins=origins)
    except KeyOptionError as error:
        raise UsageError(f"--site {answers.site}: {error}") from None
    if answers.csv is not None:
        secret, _ = create_key(keys, source="history", scope=Scope.HISTORICAL, created_at=now)
        write_atomically(directory / HISTORY_KEY, f"{secret}\n".encode(), mode=0o600)
        files.append(HISTORY_KEY)
    for path, text in texts.items():
        write_atomically(directory / path, text.encode())
    import_file = _import_file(answers)
    return Begun([*texts, *files], key, import_file)


def _texts(answers: Beginning) -> dict[Path, str]:
    """Files that people read and change."""
    if not _NAME.fullmatch(answers.name):
        raise UsageError(f"--name {answers.name}: write a name of small letters, digits, - and _, e.g. shop")
    funnel = Path(f"{answers.name}.yaml")
    history = f"\n# Key of imports: `funnelcast import` reads it.\nkey_file = {json.dumps(str(HISTORY_KEY))}\n"
    texts = {
        SETTINGS: _SETTINGS_TEXT.format(
            funnels=json.dumps([str(funnel)]), keys=json.dumps(str(KEYS)), history=history if answers.csv else ""
        ),
        funnel: _funnel(answers, funnel),
    }
    if answers.csv is not None and (import_file := _import_file(answers)) is not None:
        texts[import_file] = suggested(answers.csv)
    return texts


def _import_file(answers: Beginning) -> Path | None:
    """Beside the table: its file names are relative to it."""
    return None if answers.csv is None else answers.csv.with_name(f"{answers.csv.stem}-import.yaml")


def _funnel(answers: Beginning, file: Path) -> str:
    """The preset under its new name. Raises UsageError."""
    if answers.funnel not in preset_names():
        raise UsageError(
            f"--funnel {answers.funnel}: there is no such preset; write one of {', '.join(preset_names())}"
        )
    if not re.fullmatch(r"[A-Z]{3}", answers.currency):
        raise UsageError(f"--currency {answers.currency}: write three capital letters, e.g. EUR")
    text = _FUNNEL_HEAD.format(file=file) + "\n" + "\n".join(_lines(answers)) + "\n"
    parse_funnel(text, origin=str(file))
    return text


def _lines(answers: Beginning) -> Iterator[str]:
    for line in preset_text(answers.funnel).splitlines():
        key = line.partition(":")[0]
        if key == "name":
            yield f"name: {answers.name}"
        elif key == "version":
            yield line
            yield f"currency: {answers.currency}"
        elif key not in ("description", "currency"):
            yield line


def _check_free(directory: Path, paths: list[Path], *, over: bool) -> None:
    there = [str(path) for path in paths if (directory / path).exists()]
    if there and not over:
        raise UsageError(f"{', '.join(there)}: there already, and left as they are; --force writes them anew")
