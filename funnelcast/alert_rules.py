"""The alert rules of Prometheus for one installation: links that work in a mail, and of named funnels only the rules
that their definitions can fire. Pure but for the file that ships.

The text is kept as it is written, with its comments: a rule is a paragraph, and a paragraph is left out or kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Final

from funnelcast.links import Links
from schemas.funnel.model import Funnel

_BUSINESS: Final = "funnel_business"
_CAN_FIRE: Final[dict[str, Callable[[Funnel], bool]]] = {
    "FunnelConversionDropOfValue": lambda funnel: bool(funnel.dimensions),
    "FunnelRevenueDrop": lambda funnel: any(stage.nth is not None for stage in funnel.stages),
    "FunnelLossReasonSurge": lambda funnel: bool(funnel.lost),
    "FunnelAbandonmentRise": lambda funnel: len(funnel.stages) > 1,
    "FunnelStageNeverEntered": lambda funnel: len(funnel.stages) > 1,
    "FunnelSlaBreached": lambda funnel: any(stage.stalled_after_ms is not None for stage in funnel.stages),
    "FunnelDealsStuck": lambda funnel: any(stage.stalled_after_ms is not None for stage in funnel.stages),
}
"""Whether a definition has what the rule is about; the other rules are about every funnel."""
_EXPRESSION: Final = re.compile(r"^ {8}expr: .*?(?=^ {8}\w+:)", re.MULTILINE | re.DOTALL)
_METRIC: Final = re.compile(r"\b(funnel(?:_\w+)?:[\w:]+|funnel_\w+)(\{?)")


def alert_rules(funnels: Sequence[Funnel] = (), *, links: Links = Links(), has_targets: bool = True) -> str:  # noqa: B008
    """The rule file. Without funnels its rules are about all that are counted."""
    shipped = files("funnelcast").joinpath("data/alerts.yaml").read_text(encoding="utf-8")
    text = "\n\n".join(_kept(shipped.rstrip("\n").split("\n\n"), funnels, has_targets=has_targets)) + "\n"
    return links.in_text(text)


def _kept(paragraphs: Sequence[str], funnels: Sequence[Funnel], *, has_targets: bool) -> Iterator[str]:
    group = ""
    for paragraph in paragraphs:
        names = re.findall(r"^  - name: (\w+)$", paragraph, re.MULTILINE)
        group = names[-1] if names else group
        alerts = re.findall(r"^      - alert: (\w+)$", paragraph, re.MULTILINE)
        if not funnels or group != _BUSINESS or not alerts:
            yield paragraph
            continue
        if alerts[0] == "FunnelTargetOutOfReach" and not has_targets:
            continue
        can_fire = _CAN_FIRE.get(alerts[0], bool)
        able = [funnel.name for funnel in funnels if can_fire(funnel)]
        if able:
            yield _EXPRESSION.sub(lambda found, able=able: _restricted(found[0], able), paragraph)  # type: ignore[misc]


def _restricted(expression: str, names: Sequence[str]) -> str:
    """The same about these funnels only."""
    matcher = f'funnel=~"{"|".join(names)}"'
    return _METRIC.sub(lambda metric: f"{metric[1]}{{{matcher}{', ' if metric[2] else '}'}", expression)
