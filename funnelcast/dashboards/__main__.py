"""Writes the dashboards into the working tree; with the address of a Prometheus draws them, too. Run in the root of the
repository: `python -m funnelcast.dashboards [http://127.0.0.1:9090 FUNNEL]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from funnelcast.dashboards.boards import DASHBOARDS
from funnelcast.dashboards.panels import to_json

FOLDER, PICTURES = Path("deploy/grafana/dashboards"), Path("docs/dashboards")


def main() -> None:
    """All of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for board in DASHBOARDS:
        (FOLDER / f"{board.name}.json").write_text(to_json(board), encoding="utf-8")
    sys.stderr.write(f"wrote {len(DASHBOARDS)} dashboards to {FOLDER}\n")
    if len(sys.argv) == 3:
        from funnelcast.dashboards.picture import draw
        from funnelcast.dashboards.results import Results

        PICTURES.mkdir(parents=True, exist_ok=True)
        results = Results(sys.argv[1], funnel=sys.argv[2])
        for board in DASHBOARDS:
            (PICTURES / f"{board.name}.svg").write_text(draw(board, results), encoding="utf-8")
        sys.stderr.write(f"drew them in {PICTURES}\n")


if __name__ == "__main__":
    main()
