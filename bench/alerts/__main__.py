"""`python -m bench.alerts`: the table of delays. Ten false alarms in a hundred series and the stated time."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from bench.alerts.table import TRAFFIC, rows, text


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.alerts", description=__doc__)
    parser.add_argument("--series", type=int, default=100, help="histories of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the name of the traffic")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    traffic = tuple(kind for kind in TRAFFIC if options.only in kind.name)
    table = rows(series=options.series, seed=options.seed, traffic=traffic)
    print(json.dumps([asdict(row) for row in table]) if options.json else text(table))


if __name__ == "__main__":
    main()
