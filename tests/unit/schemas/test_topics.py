"""How long a space keeps what it knows of persons."""

from __future__ import annotations

from schemas.times import DAY_MS, HOUR_MS
from schemas.topics import Retention, Topics
from streams.admin import wanted_configs

TOPICS = Topics("t")


def test_a_live_space_keeps_nothing_for_ever() -> None:
    configs = wanted_configs(TOPICS, historical=False)
    assert set(configs) == set(TOPICS.all())
    days = {name.rpartition(".")[2]: int(one["retention.ms"]) // DAY_MS for name, one in configs.items()}
    assert days == {"events": 7, "rejected": 7, "late": 30, "hooks": 7, "journeys": 7}
    assert configs[TOPICS.events]["message.timestamp.type"] == "LogAppendTime"


def test_each_topic_has_a_retention_of_its_own_and_goes_soon_after_it() -> None:
    retention = Retention(events_ms=90 * DAY_MS, rejected_ms=DAY_MS, late_ms=HOUR_MS, hooks_ms=2 * DAY_MS)
    configs = wanted_configs(TOPICS, historical=False, retention=retention)
    days = [int(configs[name]["retention.ms"]) for name in (TOPICS.events, TOPICS.rejected, TOPICS.late, TOPICS.hooks)]
    assert days == [90 * DAY_MS, DAY_MS, HOUR_MS, 2 * DAY_MS]
    assert int(configs[TOPICS.events]["segment.ms"]) == DAY_MS
    assert int(configs[TOPICS.late]["segment.ms"]) == HOUR_MS
    assert HOUR_MS < int(configs[TOPICS.rejected]["segment.ms"]) < DAY_MS


def test_a_historical_space_keeps_its_events_and_not_what_it_rejected() -> None:
    configs = wanted_configs(TOPICS, historical=True)
    assert [configs[name]["retention.ms"] for name in (TOPICS.events, TOPICS.late, TOPICS.hooks)] == ["-1"] * 3
    assert configs[TOPICS.rejected]["retention.ms"] == str(7 * DAY_MS)
