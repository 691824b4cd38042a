"""`python -m bench.alerts`: delays in simulated histories, ten false alarms in a hundred series and the stated time;
then what is found of the labelled volumes of the Numenta Anomaly Benchmark."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from bench.alerts import found, volumes
from bench.alerts.table import TRAFFIC, rows, text


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.alerts", description=__doc__)
    parser.add_argument("--series", type=int, default=100, help="histories of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the name of the traffic, or NAB: only that")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    traffic = tuple(kind for kind in TRAFFIC if options.only in kind.name)
    delays = rows(series=options.series, seed=options.seed, traffic=traffic)
    labelled = found.rows(volumes.load()) if options.only in ("", "NAB") else []
    if options.json:
        print(json.dumps({"simulated": [asdict(row) for row in delays], "nab": [asdict(row) for row in labelled]}))
        return
    print("\n\n".join([text(delays)] * bool(delays) + [found.text(labelled)] * bool(labelled)))


if __name__ == "__main__":
    main()
