"""Links that work in a mail: an installation's addresses before the paths of rules and stories. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streams.evidence.story import Story

_ADDRESS: Final = re.compile(r"https?://[^\s\"'#{}]+")
_DASHBOARD: Final = re.compile(r"(?<=dashboard_url: )/d/|(?<=Look: )/d/")
_RUNBOOK: Final = re.compile(r"(?<=runbook_url: )docs/runbook\.md#|(?<=, )docs/runbook\.md#")


def check_address(text: str) -> None:
    """Raises ValueError with what to write instead."""
    if text and not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} is no address that a mail can link to; write e.g. https://grafana.example")


@dataclass(frozen=True, slots=True)
class Links:
    """Where dashboards and runbook are; empty: the paths stay."""

    grafana: str = ""
    runbook: str = ""

    def in_text(self, text: str) -> str:
        """The same rule file or story with addresses."""
        if self.grafana:
            text = _DASHBOARD.sub(lambda _: f"{self.grafana.rstrip('/')}/d/", text)
        if self.runbook:
            text = _RUNBOOK.sub(lambda _: f"{self.runbook.rstrip('/')}#", text)
        return text

    def in_story(self, story: Story) -> Story:
        """The same with addresses in its last lines; what people have annotated is not touched."""
        *before, look, proof = story["text"].split("\n")
        return {**story, "text": "\n".join((*before, self.in_text(look), proof))}
