"""The file of webhooks: which vendor posts under which name, with which secrets, and what its stages mean.

Reads that file, nothing else; the environment is an argument. Errors name the file, the path inside it and what to
write. Secrets are never part of an error, of a log line or of a `repr`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from producers.webhooks.delivery import Delivery, RawDelivery
from producers.webhooks.provider import Credentials, Provider
from producers.webhooks.providers import PROVIDERS
from schemas.errors import UsageError
from schemas.explain import Explainer, KeyPath
from schemas.funnel.duration import parse_duration_ms
from schemas.funnel.load import FunnelError
from schemas.money import clean_currency
from schemas.names import normalise_name
from schemas.written_file import WrittenFile

PREFIX: Final = "/v1/webhooks/"
MIN_PATH_SECRET: Final = 16
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_strict = ConfigDict(extra="forbid", frozen=True)


class WebhooksError(UsageError):
    """A file of webhooks that cannot be used; the text says where and what to write instead."""


class Api(BaseModel):
    """Access to a CRM's API, for what its hooks do not say."""

    model_config = _strict
    url: SecretStr
    """`https://example.amocrm.com`; of Bitrix24 the address of an inbound webhook, which is a secret itself."""
    token: SecretStr | None = None
    rate: float | None = Field(default=None, gt=0, le=1000)
    patience: str = "6h"
    """How long one hook is tried before it becomes an event with what it holds."""
    timeout: str = "10s"
    keep: str = "10m"
    """How long contacts, users and pipelines are remembered."""

    @field_validator("url")
    @classmethod
    def _url(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError("is no address; write e.g. https://example.amocrm.com")
        return SecretStr(url.get_secret_value().rstrip("/"))

    @field_validator("patience", "timeout", "keep")
    @classmethod
    def _duration(cls, value: str) -> str:
        try:
            parse_duration_ms(value)
        except FunnelError as error:
            raise ValueError(str(error)) from None
        return value

    def milliseconds(self, name: str) -> int:
        """One of the durations."""
        return parse_duration_ms(getattr(self, name))


class Hook(BaseModel):
    """One webhook: `POST /v1/webhooks/<name>`."""

    model_config = _strict
    name: str
    provider: str
    source: str = ""
    secrets: Annotated[list[SecretStr], Field(min_length=1)]
    stages: dict[str, str | None] = {}
    managers: dict[str, str] = {}
    account: str | None = None
    currency: str | None = None
    public_url: str | None = None
    legacy_signatures: bool = False
    anonymous_payments: bool = False
    """Payments that do not say who paid count too: for sales that no other event reports."""
    test: bool = False
    """Events that the vendor marks as not real (test mode, templates) are taken too."""
    api: Api | None = None
    _stages: dict[str, str | None] = PrivateAttr(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("must be 1-64 of a-z 0-9 _ - and start with a letter or digit; write e.g. name: shop")
        return name

    @field_validator("provider")
    @classmethod
    def _known(cls, provider: str) -> str:
        if provider not in PROVIDERS:
            raise ValueError(f"is none of {', '.join(PROVIDERS)}")
        return provider

    @field_validator("stages", mode="before")
    @classmethod
    def _texts(cls, stages: Any) -> Any:
        """Numbers are names of stages too."""
        if not isinstance(stages, dict):
            return stages
        return {str(key): value for key, value in stages.items()}

    @field_validator("stages")
    @classmethod
    def _events(cls, stages: dict[str, str | None]) -> dict[str, str | None]:
        for key, event in stages.items():
            if event is not None and not 0 < len(event.strip()) <= 128:
                raise ValueError(f"{key!r} has no name of an event; write e.g. {{{key!r}: offer_sent}}, or null")
        return stages

    @field_validator("managers", mode="before")
    @classmethod
    def _numbers(cls, managers: Any) -> Any:
        return {str(key): name for key, name in managers.items()} if isinstance(managers, dict) else managers

    @field_validator("currency")
    @classmethod
    def _currency(cls, currency: str | None) -> str | None:
        if currency is not None and clean_currency(currency) is None:
            raise ValueError("is no currency; write three letters, e.g. EUR")
        return clean_currency(currency)

    @model_validator(mode="after")
    def _whole(self) -> Hook:
        vendor = self.vendor
        if vendor.needs_public_url and not self.public_url:
            raise ValueError(f"needs public_url, because {self.provider} signs it: the address as it is entered there")
        if self.api is not None and vendor.api is None:
            raise ValueError(f"has an api, which {self.provider} does not need; remove it")
        if self.api is not None and self.api.token is None and vendor.needs_token:
            raise ValueError("api needs a token; write e.g. token: env:AMOCRM_TOKEN")
        for secret in self.secrets:
            self._check_secret(secret.get_secret_value())
        stages = {**vendor.stages, **self.stages}
        self._stages.update({normalise_name(key): event for key, event in stages.items()})
        return self

    def _check_secret(self, secret: str) -> None:
        self.vendor.key_of(secret)
        if self.vendor.secret_in_path and len(secret) < MIN_PATH_SECRET:
            raise ValueError(
                f"a secret of {self.provider} travels in the address, so that it must be long and random: "
                f"at least {MIN_PATH_SECRET} characters"
            )

    @property
    def vendor(self) -> Provider:
        """The value that `provider` names."""
        return PROVIDERS[self.provider]

    @property
    def path(self) -> str:
        """Its address at the collector."""
        return PREFIX + self.name

    @property
    def sent_as(self) -> str:
        """The source of its events."""
        return self.source or self.name

    @property
    def credentials(self) -> Credentials:
        """What its deliveries prove themselves with."""
        secrets = tuple(self.vendor.key_of(secret.get_secret_value()) for secret in self.secrets)
        return Credentials(self.path, secrets, self.public_url or "", self.legacy_signatures)

    def read(self, body: bytes, headers: Mapping[bytes, bytes]) -> Delivery:
        """What a delivery says. Raises RequestError."""
        return self.vendor.read(RawDelivery(body, headers, self.account or self.name, self.currency))

    @property
    def rate(self) -> float:
        """Requests a second to its API."""
        return (self.api.rate if self.api else None) or self.vendor.rate

    @property
    def known_stages(self) -> dict[str, str | None]:
        """The stage map, defaults filled in, as names compare."""
        return dict(self._stages)

    def event_of(self, keys: tuple[str, ...]) -> tuple[bool, str | None]:
        """(whether the map has one of the keys, the event of the first that it has; None: no step of a funnel)."""
        for key in keys:
            name = normalise_name(key)
            if name in self._stages:
                return True, self._stages[name]
        return False, None


class Webhooks(BaseModel):
    """The file."""

    model_config = _strict
    hooks: Annotated[list[Hook], Field(min_length=1)]

    @model_validator(mode="after")
    def _apart(self) -> Webhooks:
        names = [hook.name for hook in self.hooks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"name {name!r} is given twice; every hook has an address of its own")
        return self

    def by_name(self) -> dict[str, Hook]:
        """The hooks by name."""
        return {hook.name: hook for hook in self.hooks}


def load_webhooks(path: Path, environment: Mapping[str, str]) -> Webhooks:
    """The hooks of a file; `env:NAME` is looked up in `environment`. Raises WebhooksError."""
    return parse_webhooks(_FILE.text(path), environment, origin=str(path))


def parse_webhooks(written: str, environment: Mapping[str, str], *, origin: str = "webhooks") -> Webhooks:
    """The hooks of YAML or JSON text. Raises WebhooksError."""
    document = _FILE.mapping(written, origin=origin)
    return _FILE.checked(_resolved(document, environment, origin=origin, path=""), origin=origin)


def _resolved(value: Any, environment: Mapping[str, str], *, origin: str, path: str) -> Any:
    """Every `env:NAME` replaced by what the environment holds."""
    if isinstance(value, dict):
        return {key: _resolved(part, environment, origin=origin, path=f"{path}.{key}") for key, part in value.items()}
    if isinstance(value, list):
        return [
            _resolved(part, environment, origin=origin, path=f"{path}[{index}]") for index, part in enumerate(value)
        ]
    if not isinstance(value, str) or not value.startswith("env:"):
        return value
    name = value.removeprefix("env:")
    if not environment.get(name):
        raise WebhooksError(f"{origin}: {path.lstrip('.')}: the environment has no {name}; set it, or write the value")
    return environment[name]


def _known_keys(path: KeyPath) -> list[str]:
    model: type[BaseModel] = Api if "api" in path else Hook if "hooks" in path else Webhooks
    return list(model.model_fields)


_ERRORS: Final = Explainer(
    known_keys=_known_keys,
    examples={
        "name": "name: shop",
        "provider": "provider: stripe",
        "secrets": "secrets: [env:STRIPE_WEBHOOK_SECRET]",
        "hooks": "hooks: [{name: shop, provider: stripe, secrets: [env:STRIPE_WEBHOOK_SECRET]}]",
        "url": "url: https://example.amocrm.com",
    },
    shows_input=False,
)
_FILE: Final = WrittenFile(Webhooks, WebhooksError, _ERRORS, " that starts with `hooks:`")
