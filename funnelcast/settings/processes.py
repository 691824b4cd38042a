"""The settings of each process and command, composed of the sections they share and of what is their own. Values only.

A default stands here and nowhere else; where a part has one that works without a process (limits of a request, rates,
retention, `streams.defaults`) it is read from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from funnelcast.settings.sections import (
    ClientSettings,
    ContactKeySettings,
    EventSettings,
    FunnelSettings,
    HealthSettings,
    IngestSettings,
    KafkaSettings,
    LinkSettings,
    ListenSettings,
    ProducerSettings,
    RedisSettings,
    Settings,
    SpaceSettings,
    SpoolSettings,
    StateSettings,
    TargetSettings,
    ThresholdSettings,
    WatermarkSettings,
    WebhookSettings,
)
from funnelcast.settings.setting import setting
from producers.collector.ratelimit import RateLimits
from producers.ingest.limits import Limits
from schemas.topics import DEFAULT_PARTITIONS, Retention
from streams import defaults

_LIMITS: Final = Limits()
_RATES: Final = RateLimits()
_RETENTION: Final = Retention()


def _check_networks(networks: tuple[str, ...]) -> None:
    from producers.http.address import TrustedProxies

    if networks:
        try:
            TrustedProxies(networks)
        except ValueError as error:
            raise ValueError(f"{error}; write networks such as 10.0.0.0/8,192.0.2.7") from None


@dataclass(frozen=True, kw_only=True)
class HttpSettings(ListenSettings):
    """Where the collector listens and whom it believes."""

    title = "HTTP"
    own = True
    port: int = setting(8080, "Port to listen on; 0 takes a free one.", unit="port", least=0, most=65_535)
    workers: int = setting(1, "Processes that share the port.", unit="processes", least=1, most=256)
    is_open: bool = setting(False, "Take events without a key, as source `default`; loopback only.", called="open")
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "Networks whose X-Forwarded-For is believed, e.g. 10.0.0.0/8.",
        unit="network,...",
        check=_check_networks,
    )
    country_header: str = setting(
        "", "Header in which trusted proxies name the visitor's country, e.g. CF-IPCountry.", unit="name"
    )
    staff_addresses: tuple[str, ...] = setting(
        (),
        "Networks of your own people: their visits are of the class staff, e.g. 203.0.113.0/24.",
        unit="network,...",
        check=_check_networks,
    )
    staff_cookie: str = setting(
        "funnelcast_staff", "Cookie that makes its visitor staff, whatever its value; empty: none.", unit="name"
    )


@dataclass(frozen=True, kw_only=True)
class LimitSettings(EventSettings):
    """How much one request may hold."""

    title = "Limits"
    own = True
    max_body_bytes: int = setting(
        _LIMITS.body_bytes, "Largest request, compressed and in clear.", unit="bytes", least=1
    )
    max_events: int = setting(_LIMITS.events, "Most events of one request.", unit="events", least=1)
    strict_names: bool = setting(False, "Reject events that no funnel looks at.")


@dataclass(frozen=True, kw_only=True)
class RateSettings(Settings):
    """How much one sender may send."""

    title = "Rates"
    own = True
    rate_limit_address: float = setting(
        _RATES.address, "Requests a second of one address with browsers' keys; 0: no limit.", unit="requests", least=0
    )
    rate_limit_key: float = setting(
        _RATES.key or 0.0,
        "Events a second of a key that states no rate of its own; 0: no limit.",
        unit="events",
        least=0,
    )
    dead_letter_limit: int = setting(
        10_000,
        "Dead letters of one source in a minute before it is answered 503; 0: no limit.",
        unit="dead letters",
        least=0,
    )


@dataclass(frozen=True, kw_only=True)
class CollectorSettings(
    RateSettings,
    SpoolSettings,
    ProducerSettings,
    LimitSettings,
    IngestSettings,
    HttpSettings,
    HealthSettings,
    WebhookSettings,
    SpaceSettings,
    KafkaSettings,
):
    process = "collector"


@dataclass(frozen=True, kw_only=True)
class EnricherSettings(ProducerSettings, IngestSettings, HealthSettings, WebhookSettings, SpaceSettings, KafkaSettings):
    process = "enricher"
    window: int = setting(256, "Hooks that are worked on at once.", unit="hooks", least=1)


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(
    HealthSettings,
    WatermarkSettings,
    StateSettings,
    SpaceSettings,
    FunnelSettings,
    RedisSettings,
    KafkaSettings,
):
    process = "worker"
    title = "Worker"
    session_timeout: float | None = setting(
        None,
        "After so long a dead worker's partitions move; without it what suits the broker: 10 (Kafka: 6 or more).",
        unit="seconds",
        least=0,
    )
    start_timeout: float = setting(
        defaults.START_SECONDS,
        "How long to wait for broker, Redis and an assignment before exit 75.",
        unit="seconds",
        least=0,
    )
    max_persons: int = setting(defaults.MAX_PERSONS, "Persons of a partition kept in memory.", unit="persons", least=1)
    max_person_events: int = setting(
        defaults.MAX_PERSON_EVENTS,
        "Events one person may have in a funnel's window and lateness; more go to the late topic.",
        unit="events",
        least=1000,
    )
    fetch_min_bytes: int = setting(
        defaults.FETCH_MIN_BYTES, "Kafka answers when this much is there ...", unit="bytes", least=1
    )
    fetch_max_wait_ms: int = setting(
        defaults.FETCH_MAX_WAIT_MS, "... or after this time: latency against CPU.", unit="milliseconds", least=0
    )


@dataclass(frozen=True, kw_only=True)
class ExporterSettings(ThresholdSettings, TargetSettings, ListenSettings, FunnelSettings, SpaceSettings, RedisSettings):
    process = "exporter"
    title = "Exporter"
    port: int = setting(9102, "Port to listen on; 0 takes a free one.", unit="port", least=0, most=65_535)
    max_values: int = setting(
        defaults.MAX_VALUES,
        "Values of a dimension with series of their own; the others are `other`.",
        unit="values",
        least=0,
    )
    time_box: float = setting(
        defaults.TIME_BOX_SECONDS, "How long a scrape waits for Redis.", unit="seconds", least=0.1
    )
    evidence_every: float = setting(
        defaults.EVIDENCE_SECONDS,
        "Time between two looks for evidence of change (docs/alerts.md).",
        unit="seconds",
        least=0.1,
    )


@dataclass(frozen=True, kw_only=True)
class WebSettings(
    ThresholdSettings, TargetSettings, ContactKeySettings, ListenSettings, FunnelSettings, SpaceSettings, RedisSettings
):
    process = "web"
    title = "Web"
    port: int = setting(8090, "Port to listen on; 0 takes a free one.", unit="port", least=0, most=65_535)


@dataclass(frozen=True, kw_only=True)
class TickerSettings(SpaceSettings, KafkaSettings):
    process = "ticker"
    title = "Ticker"
    every: float = setting(defaults.TICK_SECONDS, "Time between two ticks.", unit="seconds", least=0.1)


@dataclass(frozen=True, kw_only=True)
class CanarySettings(ClientSettings, HealthSettings, FunnelSettings, SpaceSettings, RedisSettings):
    process = "canary"
    title = "Canary"
    every: float = setting(10.0, "Time between two walks.", unit="seconds", least=0.1)
    source: str | None = setting(
        None, "Source of its write key, for funnels that take certain sources only.", unit="name"
    )


@dataclass(frozen=True, kw_only=True)
class TopicsSettings(SpaceSettings, KafkaSettings):
    process = "topics"
    title = "Topics"
    partitions: int | None = setting(
        None,
        f"Of a new space, fixed for its life; without it {DEFAULT_PARTITIONS}, or what an existing space has.",
        unit="partitions",
        least=1,
    )
    retention_ms: int = setting(
        _RETENTION.events_ms,
        "How long a live space keeps its events: longer than it takes to restore the counters.",
        unit="duration",
        called="retention",
    )
    retention_rejected_ms: int = setting(
        _RETENTION.rejected_ms,
        "How long a space keeps what was rejected: e-mails and phones stand there as they were sent.",
        unit="duration",
        called="retention_rejected",
    )
    retention_late_ms: int = setting(
        _RETENTION.late_ms, "How long it keeps events that came too late.", unit="duration", called="retention_late"
    )
    retention_hooks_ms: int = setting(
        _RETENTION.hooks_ms,
        "How long it keeps webhooks that the enricher makes events of.",
        unit="duration",
        called="retention_hooks",
    )
    retention_journeys_ms: int = setting(
        _RETENTION.journeys_ms,
        "How long it keeps what became of journeys.",
        unit="duration",
        called="retention_journeys",
    )
    replication: int = setting(-1, "Copies of each partition; -1: the broker's default.", unit="copies", least=-1)


PROCESSES: Final[tuple[type[Settings], ...]] = (
    CollectorSettings,
    EnricherSettings,
    WorkerSettings,
    TickerSettings,
    ExporterSettings,
    WebSettings,
    CanarySettings,
    TopicsSettings,
)
"""Those with a table of their own in the file."""
ALL: Final[tuple[type[Settings], ...]] = (*PROCESSES, ClientSettings, LinkSettings)
"""Together they have every setting there is."""
