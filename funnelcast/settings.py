"""Settings of every command: flag > environment (FUNNELCAST_*) > funnelcast.toml > default. Only reads them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from schemas.errors import UsageError
from schemas.funnel.duration import parse_duration_ms
from schemas.topics import DEFAULT_SPACE, Topics

FILE = "funnelcast.toml"


class SettingsError(UsageError):
    """A setting that cannot be used; the text names it and says what to write."""


class Settings(BaseSettings):
    """Shared by all processes. Durations are milliseconds inside, `1m` or `500ms` outside."""

    model_config = SettingsConfigDict(env_prefix="FUNNELCAST_", toml_file=FILE, extra="ignore", env_ignore_empty=True)

    kafka: str | None = Field(default=None, description="host:port[,host:port] of the brokers")
    redis: str | None = Field(default=None, description="redis:// URL of Redis or Valkey")
    funnels: str = Field(default="sales", description="preset names or files, separated by commas")
    space: str = Field(default=DEFAULT_SPACE, description="prefix of topics and Redis keys")
    state_dir: Path = Field(default=Path(".funnelcast"), description="logs, data and progress of local processes")
    keys: Path | None = Field(default=None, description="file of hashed write keys")
    spool_bytes: int = Field(default=1 << 30, ge=0, description="most bytes that wait on disk while Kafka is away")
    webhooks: Path | None = Field(default=None, description="file of webhooks (docs/webhooks.md)")
    watermark_delay: str = Field(default="1m", description="how far the watermark stays behind the newest reception")
    ip: Literal["drop", "truncate", "keep"] = Field(
        default="truncate", description="what becomes of addresses of clients in events"
    )
    deny_properties: str = Field(default="", description="properties and traits to leave out of events")
    allow_properties: str | None = Field(
        default=None, description="the only properties and traits to keep, besides those that the funnels read"
    )
    browser_events: str = Field(default="", description="orders, refunds or ad spend that every browser's key may send")
    contact_key: str | None = Field(default=None, description="secret with which e-mails and phones are hashed")

    @field_validator("space")
    @classmethod
    def _space(cls, space: str) -> str:
        return Topics(space).space

    @field_validator("watermark_delay")
    @classmethod
    def _delay(cls, text: str) -> str:
        if text not in ("0", "0s", "0ms"):
            parse_duration_ms(text)
        return text

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then funnelcast.toml in the current directory."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def watermark_delay_ms(self) -> int:
        """The watermark delay in milliseconds."""
        return 0 if self.watermark_delay in ("0", "0s", "0ms") else parse_duration_ms(self.watermark_delay)

    @property
    def funnel_references(self) -> list[str]:
        """Preset names and files, in order."""
        return [one.strip() for one in self.funnels.split(",") if one.strip()]

    def need_kafka(self) -> str:
        """Broker addresses. Raises SettingsError when none is set."""
        if not self.kafka:
            raise SettingsError(
                "no Kafka address: give --kafka host:port, set FUNNELCAST_KAFKA, or run `funnelcast stack up` first"
            )
        return self.kafka

    def need_redis(self) -> str:
        """Redis URL. Raises SettingsError when none is set."""
        if not self.redis:
            raise SettingsError(
                "no Redis address: give --redis redis://host:port, set FUNNELCAST_REDIS, or run `funnelcast stack up`"
            )
        return self.redis


def load_settings(**flags: Any) -> Settings:
    """Settings from flags (None = not given) and the other sources. Raises SettingsError."""
    given = {name: value for name, value in flags.items() if value is not None}
    _check_file(Path(FILE))
    try:
        return Settings(**given)
    except ValidationError as error:
        lines = []
        for one in error.errors():
            name = str(one["loc"][0]) if one["loc"] else "settings"
            lines.append(f"{name} (FUNNELCAST_{name.upper()}): {one['msg'].removeprefix('Value error, ')}")
        raise SettingsError("\n".join(lines)) from None


def _check_file(path: Path) -> None:
    """A file that cannot be read or sets something unknown must not pass in silence."""
    if not path.is_file():
        return
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None
    unknown = sorted(set(found) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(f"{path}: unknown {', '.join(unknown)}; settings are {', '.join(Settings.model_fields)}")
