"""`funnelcast doctor`: is this installation well, and if not, what to do. Prints; changes nothing."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from funnelcast.commands.options import JsonFlag, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import FunnelSettings, KafkaSettings, KeySettings, RedisSettings, SpaceSettings

if TYPE_CHECKING:
    from funnelcast.diagnosis import Finding, Installation

app = typer.Typer(help="Check an installation.")
_SIGNS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


@dataclass(frozen=True, kw_only=True)
class DoctorSettings(KeySettings, FunnelSettings, SpaceSettings, RedisSettings, KafkaSettings):
    """Everything that a process would be started with."""


@app.command(
    epilog="Example:  funnelcast doctor --kafka 127.0.0.1:9092 --redis redis://127.0.0.1:6379 --funnels shop.yaml"
)
@with_settings(DoctorSettings)
def doctor(settings: DoctorSettings, as_json: JsonFlag = False) -> None:
    """Check broker, topics, store, clocks, keys, funnels and whether counting goes on. Each finding says what to do.

    Exit 0 when there is no problem, 1 when there is one; warnings are no problems.
    """
    from funnelcast.diagnosis import Installation

    installation = Installation(
        kafka=settings.need_kafka,
        redis=settings.need_redis,
        topics=settings.topics,
        funnels=settings.funnels,
        keys=settings.keys,
    )
    findings = asyncio.run(_examine(installation, as_json=as_json))
    problems = sum(finding.level == "problem" for finding in findings)
    if as_json:
        emit(json.dumps({"ok": not problems, "findings": [asdict(finding) for finding in findings]}))
    else:
        say(f"{problems} problems" if problems else "no problem")
    raise typer.Exit(1 if problems else 0)


async def _examine(installation: Installation, *, as_json: bool) -> list[Finding]:
    from funnelcast.diagnosis import findings

    all_findings = []
    async for finding in findings(installation):
        all_findings.append(finding)
        if not as_json:
            say(line_of(finding))
    return all_findings


def line_of(finding: Finding) -> str:
    """A finding as people read it."""
    return f"{_SIGNS[finding.level]}  {finding.part:10}  {finding.text}"
