"""What the commands make of the settings: their flags, their help, what they import for it, the checks they build."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import typer

from funnelcast.cli import COMMANDS
from funnelcast.commands.collector import build_ingest as collector_ingest
from funnelcast.commands.enricher import build_ingest as enricher_ingest
from funnelcast.settings.catalogue import settings_of
from funnelcast.settings.load import load_settings
from funnelcast.settings.processes import PROCESSES, CollectorSettings, EnricherSettings
from funnelcast.settings.sections import Settings
from tests.support.rows import rows


def command_of(*names: str) -> Any:
    """The click command, loaded."""
    module: Any = importlib.import_module(COMMANDS[names[0]][0])
    command: Any = typer.main.get_command(module.app)
    for name in names[1:]:
        command = command.commands[name]
    return command


@rows("kind", PROCESSES)
def test_a_process_has_a_flag_for_each_of_its_settings(kind: type[Settings]) -> None:
    names = [kind.process, "create"] if kind.process == "topics" else [kind.process]
    flags = {option for parameter in command_of(*names).params for option in parameter.opts}
    assert {setting.flag for setting in settings_of(kind) if setting.facts.has_flag} <= flags
    assert "--config" in flags


def test_the_enricher_takes_an_event_that_the_collector_takes(tmp_path: Path) -> None:
    environment = {"FUNNELCAST_MAX_EVENT_BYTES": "65536", "FUNNELCAST_STATE_DIR": str(tmp_path)}
    collector = collector_ingest(load_settings(CollectorSettings, environment=environment))
    enricher = enricher_ingest(load_settings(EnricherSettings, environment=environment))
    assert (collector.limits.event_bytes, enricher.limits.event_bytes) == (65_536, 65_536)
