"""`funnelcast alerts rules`: the alert rules of Prometheus as a file. Reads definitions, and no store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from funnelcast.commands.options import FunnelsOption, with_settings
from funnelcast.say import emit, say
from funnelcast.settings.sections import LinkSettings


@with_settings(LinkSettings)
def rules(
    settings: LinkSettings,
    *,
    funnel: FunnelsOption = None,
    targets: Annotated[bool, typer.Option("--targets", help="There is a file of targets: warn of them, too.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stdout.")] = None,
) -> None:
    """Write the alert rules of Prometheus, with links that work in mails and chats.

    Without --funnel they are about every funnel that is counted, as deploy/prometheus/rules/alerts.yml is. With it
    they are about the funnels named, and of each only what its definition can fire. The threshold is no part of them:
    they compare with what the exporter says.
    """
    from funnelcast.alert_rules import alert_rules
    from schemas.funnel.load import load_funnels

    funnels = load_funnels(funnel) if funnel else ()
    text = alert_rules(funnels, links=settings.links, has_targets=targets)
    if output is None:
        emit(text.rstrip("\n"))
        return
    output.write_text(text, encoding="utf-8")
    say(f"{text.count('- alert: ')} rules written to {output}", err=True)
