"""The command line: a table of subcommands, each imported only when it is run. Holds no work of its own."""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import typer
import typer.core
import typer.main

from funnelcast import __version__
from funnelcast.help_text import set_up_help
from funnelcast.say import say, speak_any_encoding
from schemas.errors import FunnelcastError

EXIT_USAGE, EXIT_NEEDS_HUMAN, EXIT_TRY_AGAIN, EXIT_PIPE = 2, 70, 75, 141
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("funnelcast.commands.init", "Write the settings, a funnel and keys of a new installation."),
    "demo": ("funnelcast.commands.demo", "Run everything on this machine: real history, then a live simulated shop."),
    "stack": ("funnelcast.commands.stack", "Embedded broker and Valkey for a laptop, tests and the demo."),
    "topics": ("funnelcast.commands.topics", "Create and check the topics of a space."),
    "collector": ("funnelcast.commands.collector", "Take events over HTTP and put them on Kafka."),
    "webhooks": ("funnelcast.commands.webhooks", "Check the file of webhooks, and try what a delivery becomes."),
    "enricher": ("funnelcast.commands.enricher", "Ask CRMs what their webhooks do not say."),
    "worker": ("funnelcast.commands.worker", "Count events from Kafka into Redis, exactly once."),
    "ticker": ("funnelcast.commands.ticker", "Move the watermark of quiet partitions."),
    "exporter": ("funnelcast.commands.exporter", "Serve /metrics from Redis for Prometheus."),
    "canary": ("funnelcast.commands.canary", "Walk every funnel through the real doors, and see it counted."),
    "web": ("funnelcast.commands.web", "Serve reports as JSON and CSV over HTTP."),
    "keys": ("funnelcast.commands.keys", "Create, list and revoke write keys."),
    "snippet": ("funnelcast.commands.snippet", "Print the HTML that puts funnelcast.js on a page."),
    "send": ("funnelcast.commands.send", "Send a JSONL or CSV file through the collector."),
    "import": ("funnelcast.commands.imports", "Import other people's files by an import file."),
    "spend": ("funnelcast.commands.spend", "Import what was spent on advertising."),
    "simulate": ("funnelcast.commands.simulate", "Write the events of a simulated shop as JSONL."),
    "visitors": ("funnelcast.commands.visitors", "Send visitors of a simulated shop to a running collector."),
    "replay": ("funnelcast.commands.replay", "Count a file from nothing and print the counters document."),
    "report": ("funnelcast.commands.report", "Print the live counters with rates."),
    "annotate": ("funnelcast.commands.annotate", "Say what was changed and when, for every report."),
    "alerts": ("funnelcast.commands.alerts", "Find the alerts that a history would have raised, and tune them."),
    "digest": ("funnelcast.commands.digest", "Send the report of a day or week to mailboxes and channels."),
    "journeys": ("funnelcast.commands.journeys", "Follow what becomes of journeys, or send it on as webhooks."),
    "funnels": ("funnelcast.commands.funnels", "Check, list and show funnel definitions."),
    "recount": ("funnelcast.commands.recount", "Count the log again for a changed definition, and switch to it."),
    "archive": ("funnelcast.commands.archive", "Keep the events in Parquet files, exactly once."),
    "person": ("funnelcast.commands.person", "Show one person: ids, journeys, and why each outcome was booked."),
    "forget": ("funnelcast.commands.forget", "Take a person out of the counted state; the numbers stay."),
    "tail": ("funnelcast.commands.tail", "Show what arrives, and which stage takes it."),
    "rejected": ("funnelcast.commands.rejected", "List, show and replay what the collector rejected."),
    "gaps": ("funnelcast.commands.gaps", "Accept lost records explicitly, and list what was accepted."),
    "doctor": ("funnelcast.commands.doctor", "Check broker, store, topics, clocks, keys and funnels; say what to do."),
    "config": ("funnelcast.commands.config", "Print the settings in effect, and where each comes from."),
    "fuzz": ("funnelcast.commands.fuzz", "Send mutated requests and noise to a collector; nothing may break."),
    "chaos": ("funnelcast.commands.chaos", "Kill real processes at random and prove that the numbers stay exact."),
}


GROUPS: dict[str, tuple[str, ...]] = {
    "Run": ("init", "demo", "stack", "collector", "worker", "ticker", "exporter", "web", "enricher", "canary"),
    "Look": ("report", "tail", "person", "journeys", "alerts", "digest", "annotate"),
    "Data": ("funnels", "snippet", "send", "import", "spend", "simulate", "replay", "webhooks"),
}
"""What else there is operates an installation."""
OPERATE = "Operate"


def _group_of(name: str) -> str:
    return next((group for group, names in GROUPS.items() if name in names), OPERATE)


class _Lazy(typer.core.TyperGroup):
    """Commands of the table; a module has `app` (a Typer with subcommands or one command)."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(COMMANDS, key=lambda name: [*GROUPS, OPERATE].index(_group_of(name)))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in with the summary, for the list of commands."""
        if cmd_name not in COMMANDS:
            return None
        summary = COMMANDS[cmd_name][1]
        return typer.core.TyperCommand(cmd_name, short_help=summary, help=summary, rich_help_panel=_group_of(cmd_name))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command to run: only its module is imported."""
        name, command, arguments = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, arguments


def load_command(name: str) -> Any:
    """A command of the table, its module imported."""
    loaded: Any = importlib.import_module(COMMANDS[name][0])
    loaded.app._add_completion = False  # noqa: SLF001 - it is the program's, not each command's
    command: Any = typer.main.get_command(loaded.app)
    command.name = name
    for each in (command, *getattr(command, "commands", {}).values()):
        each.help = re.sub(r"(?<!\n)\n(?!\n)", " ", each.help or "")  # else a line of the source is one of the help
    return command


set_up_help()
app = typer.Typer(cls=_Lazy, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"funnelcast {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Examples:  funnelcast demo  ·  funnelcast stack up  ·  funnelcast replay --funnel sales --events e.jsonl",
    context_settings={"help_option_names": ["-h", "--help"]},
)
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Real-time funnels with exact numbers: events over HTTP, through Kafka and Faust, to Redis and Prometheus."""


def main() -> None:
    """Entry point. Every error becomes one line on stderr and the exit code of its class; Ctrl-C ends quietly."""
    speak_any_encoding()
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # processes that log see it; commands say it once
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except FunnelcastError as error:
        say(f"funnelcast: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains at its end
        sys.exit(EXIT_PIPE)
    except ConnectionError as error:
        say(f"funnelcast: {error}; try again", err=True)
        sys.exit(EXIT_TRY_AGAIN)
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        say(f"funnelcast: {place}{error.strerror or error}", err=True)
        sys.exit(EXIT_USAGE)
    except Exception as error:  # noqa: BLE001 - the last resort: a person sees a sentence, a developer a traceback
        say(f"funnelcast: {type(error).__name__}: {error}\nthis is a bug: {_traceback()} says where", err=True)
        sys.exit(EXIT_NEEDS_HUMAN)


def _traceback() -> Path:
    """A new file that holds the traceback of the exception at hand."""
    descriptor, name = tempfile.mkstemp(prefix="funnelcast-", suffix=".traceback")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        traceback.print_exc(file=file)
    return Path(name)
