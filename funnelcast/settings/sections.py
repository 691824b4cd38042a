"""What an installation has in common: every setting that more than one command reads, in sections. Values only.

Each process and command composes its own settings of these (`processes.py`), so that a function can ask for the section
it needs and take the settings of any process that has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

from funnelcast.links import Links, check_address
from funnelcast.settings.setting import setting
from producers.ingest.limits import Limits
from schemas.kafka import KafkaServers
from schemas.topics import DEFAULT_SPACE, Topics
from streams.defaults import LEAST_NATS, THRESHOLD_NATS, WATERMARK_DELAY_MS

_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all: values that are fixed once they are loaded, and where each that is no default comes from."""

    title: ClassVar[str] = ""
    """Heading of the section in `--help`."""
    process: ClassVar[str] = ""
    """Kind of process: fields that its class declares itself, and `own` sections, are in its table of the file."""
    own: ClassVar[bool] = False
    """Whether each kind of process has values of its own in this section."""
    joins_running: ClassVar[bool] = True
    """Whether it takes the addresses of a stack that was started here, where nothing else says them."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class KafkaSettings(Settings):
    """Where the brokers are, and how a client shows who it is."""

    title = "Installation"
    kafka: str | None = setting(None, "Brokers; one that answers is enough.", unit="host:port[,host:port]")
    kafka_security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = setting(
        "plaintext", "TLS (ssl) and login (sasl) of the brokers' listener."
    )
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"] = setting(
        "SCRAM-SHA-512", "Kind of login."
    )
    kafka_user: str | None = setting(None, "User of the login.", unit="name")
    kafka_password: str | None = setting(None, "Password of the login.", is_secret=True, has_flag=False)
    kafka_password_file: Path | None = setting(None, "File that holds the password.", unit="file")
    kafka_token_file: Path | None = setting(
        None, "File that holds the token of OAUTHBEARER; read at every login.", unit="file"
    )
    kafka_ca: Path | None = setting(
        None, "Authorities that the brokers' certificates are verified with (PEM); default: the system's.", unit="file"
    )
    kafka_cert: Path | None = setting(None, "Certificate of this client (PEM), for mutual TLS.", unit="file")
    kafka_cert_key: Path | None = setting(None, "Its key (PEM, no passphrase), if not in the same file.", unit="file")

    def need_kafka(self) -> KafkaServers:
        """The brokers with TLS and login. Raises SettingsError when none is set, or when the settings do not fit."""
        from funnelcast.settings.kafka import servers_of

        return servers_of(self)


@dataclass(frozen=True, kw_only=True)
class RedisSettings(Settings):
    title = "Installation"
    redis: str | None = setting(
        None, "Redis or Valkey; clusters and sentinels: docs/operations.md.", unit="redis://host:port"
    )
    redis_password: str | None = setting(None, "Password, where the address has none.", is_secret=True, has_flag=False)
    redis_password_file: Path | None = setting(None, "File that holds it.", unit="file")

    def need_redis(self) -> str:
        """The address with its password. Raises SettingsError when none is set, or when two are."""
        from funnelcast.settings.redis import url_of

        return url_of(self)


@dataclass(frozen=True, kw_only=True)
class SpaceSettings(Settings):
    title = "Installation"
    space: str = setting(DEFAULT_SPACE, "Prefix of topics and Redis keys.", unit="name", check=Topics)

    @property
    def topics(self) -> Topics:
        """Names of the space's topics and groups."""
        return Topics(self.space)


@dataclass(frozen=True, kw_only=True)
class FunnelSettings(Settings):
    title = "Installation"
    funnels: tuple[str, ...] = setting(
        ("sales", "web"), "Definitions: names of presets, or files.", unit="name|file,..."
    )

    @property
    def is_funnel_said(self) -> bool:
        """Whether somebody named the funnels; else they are those of the default."""
        return "funnels" in self.sources

    def of_a_file(self) -> tuple[str, ...]:
        """What a file is counted by where the command does not say it: those that are set, or the first default."""
        return self.funnels if self.is_funnel_said else self.funnels[:1]


@dataclass(frozen=True, kw_only=True)
class StateSettings(Settings):
    title = "Installation"
    state_dir: Path = setting(
        Path(".funnelcast"), "Local files: spool, logs, progress of imports, contact key.", unit="directory"
    )


@dataclass(frozen=True, kw_only=True)
class KeySettings(Settings):
    title = "Installation"
    keys: Path | None = setting(None, "Hashed keys (`funnelcast keys create`).", unit="file")


@dataclass(frozen=True, kw_only=True)
class WebhookSettings(Settings):
    title = "Installation"
    webhooks: Path | None = setting(None, "Webhooks that vendors post (docs/webhooks.md).", unit="file")


@dataclass(frozen=True, kw_only=True)
class TargetSettings(Settings):
    title = "Installation"
    targets: Path | None = setting(None, "Targets to show, and to warn of (docs/reports.md).", unit="file")


@dataclass(frozen=True, kw_only=True)
class ThresholdSettings(Settings):
    """Everybody who judges must have the same: rules of Prometheus, the page, mails and back-tests."""

    title = "Installation"
    threshold: float = setting(
        THRESHOLD_NATS, "Evidence at which an alert begins; `alerts tune` proposes it.", unit="nats", least=LEAST_NATS
    )


@dataclass(frozen=True, kw_only=True)
class LinkSettings(Settings):
    """Rules, terminal and mails link to the same places."""

    title = "Installation"
    grafana_url: str = setting("", "Address of Grafana, for links in alerts.", unit="url", check=check_address)
    runbook_url: str = setting(
        "", "Where docs/runbook.md can be read, for links in alerts.", unit="url", check=check_address
    )

    @property
    def links(self) -> Links:
        """What alerts link to."""
        return Links(self.grafana_url, self.runbook_url)


@dataclass(frozen=True, kw_only=True)
class WatermarkSettings(Settings):
    title = "Installation"
    watermark_delay_ms: int = setting(
        WATERMARK_DELAY_MS,
        "How far the watermark stays behind the newest reception.",
        unit="duration",
        least=0,
        called="watermark_delay",
    )


@dataclass(frozen=True, kw_only=True)
class ContactKeySettings(StateSettings):
    """The key lies in the state directory where it is not set."""

    title = "Installation"
    contact_key: str | None = setting(
        None, "Secret with which e-mails and phones are hashed.", is_secret=True, has_flag=False
    )


@dataclass(frozen=True, kw_only=True)
class PhoneSettings(Settings):
    title = "Privacy"
    phone_region: str | None = setting(None, "Country of phone numbers without a country code, e.g. GR.", unit="code")


@dataclass(frozen=True, kw_only=True)
class PrivacySettings(Settings):
    """What of a person is stored."""

    title = "Privacy"
    keep_contacts: bool = setting(False, "Leave e-mails and phones in the properties.")
    ip: Literal["drop", "truncate", "keep"] = setting(
        "truncate", "What becomes of addresses of clients in events; truncate leaves the /24 or /48 network."
    )
    deny_properties: tuple[str, ...] = setting((), "Properties and traits to leave out.", unit="name,...")
    allow_properties: tuple[str, ...] | None = setting(
        None, "The only properties and traits to keep, besides those that the funnels read.", unit="name,..."
    )


@dataclass(frozen=True, kw_only=True)
class EventSettings(Settings):
    """Which events are taken."""

    title = "Limits"
    max_event_bytes: int = setting(
        Limits().event_bytes, "Largest event; Kafka takes 1 MiB.", unit="bytes", least=1, most=524_288
    )
    browser_events: tuple[str, ...] = setting(
        (), "Orders, refunds or ad spend that every browser's key may send, e.g. order_completed.", unit="name,..."
    )


@dataclass(frozen=True, kw_only=True)
class ChannelSettings(Settings):
    """Everybody who reads events by the collector's rules must have the same."""

    title = "Installation"
    channels: Path | None = setting(
        None, "Own channel groups, before those that ship (docs/clients.md, Where visitors come from).", unit="file"
    )


@dataclass(frozen=True, kw_only=True)
class IngestSettings(
    EventSettings, PrivacySettings, PhoneSettings, ChannelSettings, ContactKeySettings, FunnelSettings
):
    """How an event is checked: collector and enricher must have the same."""


@dataclass(frozen=True, kw_only=True)
class ProducerSettings(Settings):
    """How events are written to Kafka."""

    title = "Kafka"
    own = True
    ack_timeout: float = setting(10.0, "How long to wait for Kafka before 503.", unit="seconds", least=0)
    linger_ms: float = setting(5.0, "Least time between two sends to Kafka.", unit="milliseconds", least=0)
    idempotence: bool = setting(True, "Idempotent producer: retries write nothing twice.")


@dataclass(frozen=True, kw_only=True)
class SpoolSettings(Settings):
    title = "Spool"
    spool_bytes: int = setting(
        1 << 30, "Most bytes that wait on disk while Kafka is away; 0: answer 503 instead.", unit="bytes", least=0
    )


@dataclass(frozen=True, kw_only=True)
class ClientSettings(Settings):
    """For commands that send events."""

    title = "Collector"
    url: str = setting("http://127.0.0.1:8080", "The collector.", unit="url")
    key: str | None = setting(None, "Write key; history needs the scope historical.", unit="key", is_secret=True)
    key_file: Path | None = setting(None, "File that holds the write key; - is stdin.", unit="file")

    def write_key(self) -> str | None:
        """The key, from wherever it is. Raises SettingsError."""
        if self.key_file is None:
            return self.key
        from funnelcast.settings import SettingsError
        from funnelcast.settings.secrets import read_secret

        if self.key is not None:
            raise SettingsError("key and key_file: set one of them")
        return read_secret(self.key_file, "key_file")


@dataclass(frozen=True, kw_only=True)
class ListenSettings(KeySettings):
    title = "HTTP"
    own = True
    host: str = setting(_LOOPBACK, "Address to listen on.", unit="address")
    require_read_key: bool = setting(False, "/metrics and reports only with a key of the scope read.")


@dataclass(frozen=True, kw_only=True)
class HealthSettings(Settings):
    title = "Health"
    own = True
    health_port: int | None = setting(
        None, "Serve /healthz, /readyz and /metrics here; 0 takes a free one.", unit="port", least=0, most=65_535
    )
    health_host: str = setting(_LOOPBACK, "Address to serve them on.", unit="address")
