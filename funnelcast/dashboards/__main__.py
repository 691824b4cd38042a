"""Writes the dashboards into the working tree. Run in the root of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

from funnelcast.dashboards import funnel
from funnelcast.dashboards.panels import to_json

PATH = Path("deploy/grafana/dashboards/funnel.json")


def main() -> None:
    """All of them."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(to_json(funnel.DASHBOARD), encoding="utf-8")
    sys.stderr.write(f"wrote {PATH}\n")


if __name__ == "__main__":
    main()
