"""What holds in `streams` where nobody sets it otherwise; the settings of the processes read it here. Values only."""

from __future__ import annotations

from typing import Final

WATERMARK_DELAY_MS: Final = 60_000
"""How far the watermark stays behind the newest reception."""
MAX_PERSONS: Final = 250_000
"""Persons of a partition in memory."""
MAX_PERSON_EVENTS: Final = 50_000
"""Events that one person may have between the horizon and now; further ones go to the dead letters."""
FETCH_MIN_BYTES: Final = 1_048_576
"""A chunk of 100 events costs three times as much per event as one of 2,000 ..."""
FETCH_MAX_WAIT_MS: Final = 300
"""... and this is the latency that gathering them may cost."""
START_SECONDS: Final = 30.0
"""Without broker, store and first poll by then a worker ends with exit code 75."""
TICK_SECONDS: Final = 5.0
"""Between two ticks."""
TIME_BOX_SECONDS: Final = 2.0
"""How long a scrape waits for a fresh snapshot before it shows the last one."""
MAX_VALUES: Final = 50
"""Values of a dimension with series of their own."""
EVIDENCE_SECONDS: Final = 60.0
"""Between two looks for evidence of change: its finest buckets are minutes."""
THRESHOLD_NATS: Final = 6.0
"""Evidence at which an alert begins. Of a series of the whole, judged by minutes, about one false alarm in four years;
of one value, judged by hours, hardly ever. `alerts tune` says what suits a funnel."""
LEAST_NATS: Final = 2.0
"""The lowest threshold: the cause of what has less evidence is not asked for."""
