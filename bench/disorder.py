"""CPU of one person's disorder: so many events of one person, whose times are spread over an hour, as a multiple of as
many events of many persons. The counting core alone; no store, no Kafka.

    python -m bench.disorder [--events N ...] [--batch N ...] [--funnel NAME] [--names NAME ...] [--reverse]
                             [--deals N]

With `--deals N` the funnel has `unit: deal_id`, and the leads, offers and payments of a person name one of N deals.

Process time. Each pair is measured in the same repetition, and the ratio is the median of the repetitions.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence

from bench.core_step import named_deals, of_deals
from bench.workload import START_MS, event_record
from schemas.funnel.load import load_funnels
from schemas.funnel.model import Funnel
from schemas.times import HOUR_MS
from streams.core.chunk import Record
from tests.support.counting import count_records

MANY = 20_000
STEP_MS = 200
NAMES = ("impression", "click")
NAMES_OF_DEALS = ("click", "lead", "offer", "payment")


def stream(events: int, people: int, *, names: Sequence[str], is_reversed: bool = False) -> list[Record]:
    """Events received 200 ms after each other that occurred any time in the hour before, or the latest first."""
    rnd = random.Random(3)
    log: list[Record] = []
    for number in range(events):
        received = START_MS + (number + events * is_reversed) * STEP_MS
        occurred = START_MS + (events - number) * STEP_MS if is_reversed else received - rnd.randrange(HOUR_MS)
        log.append(
            event_record(
                number, names[number % len(names)], person=number % people, occurred_ms=occurred, received_ms=received
            )
        )
    return log


def cpu_seconds(funnel: Funnel, log: list[Record], *, batch: int) -> float:
    """Process time of counting a log from nothing."""
    began = time.process_time()
    count_records([funnel], log, batch_sizes=[batch])
    return time.process_time() - began


def main() -> None:
    """Print a small table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000, 2_000, 4_000, 8_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[5_000, 500, 50])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--funnel", default="sales")
    parser.add_argument("--names", nargs="+", help="names of the events, in turn")
    parser.add_argument("--deals", type=int, default=0, help="of one person; 0: a funnel without a unit")
    parser.add_argument("--reverse", action="store_true", help="the latest event comes first")
    options = parser.parse_args()
    [funnel] = load_funnels([options.funnel])
    funnel = of_deals(funnel) if options.deals else funnel
    names = options.names or (NAMES_OF_DEALS if options.deals else NAMES)
    print(" events   batch   one person   many persons   ratio")
    for batch in options.batch:
        for events in options.events:
            one, many = (stream(events, people, names=names, is_reversed=options.reverse) for people in (1, MANY))
            if options.deals:
                one, many = named_deals(one, options.deals), named_deals(many, options.deals)
            pairs = [
                (cpu_seconds(funnel, one, batch=batch), cpu_seconds(funnel, many, batch=batch))
                for _ in range(options.repeat)
            ]
            ratio = statistics.median(hot / cold for hot, cold in pairs)
            hot, cold = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
            print(f"{events:>7} {batch:>7} {hot:>10.3f} s {cold:>12.3f} s {ratio:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
