"""`python -m tests.readers.programs` builds what this tier runs, once; it takes minutes."""

from __future__ import annotations

import sys

from tests.support.go import GoError, GoTool, built

_MODULE, _VERSION = "github.com/prometheus/prometheus", "v0.313.3"
_TAGS = "remove_all_sd,enable_dns_sd,slicelabels"
"""Without the discovery of a dozen clouds; the shipped configuration finds workers by their name."""
PROMETHEUS = GoTool("prometheus", _MODULE, _VERSION, "cmd/prometheus", _TAGS)
"""3.13.3, as docker-compose.yml has it."""
PROMTOOL = GoTool("promtool", _MODULE, _VERSION, "cmd/promtool", _TAGS)
VMALERT = GoTool("vmalert", "github.com/VictoriaMetrics/VictoriaMetrics", "v1.151.0", "app/vmalert")

if __name__ == "__main__":
    try:
        for tool in (PROMETHEUS, PROMTOOL, VMALERT):
            print(built(tool))
    except GoError as error:
        sys.exit(f"tests.readers: {error}")
