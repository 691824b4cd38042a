"""TLS and login of Kafka clients, made of the settings: reads the files, asks a broker why it refuses.

The only module of the settings that knows aiokafka; imported only where a connection is secured.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from funnelcast.settings.errors import SettingsError
from funnelcast.settings.kafka_plain import doubt
from funnelcast.settings.secrets import in_words, read_secret

_ASK_MS: Final = 5_000
_REFUSALS: Final = (
    SaslAuthenticationFailed,
    AuthenticationFailedError,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)
_BROKEN: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""TLS that ended before it was up: a broker that is just going away."""


def tls_context(*, ca: Path | None, cert: Path | None, cert_key: Path | None) -> ssl.SSLContext:
    """Verifies certificate and host name, by the system's authorities without `ca`. Raises SettingsError."""
    for name, path in (("kafka_ca", ca), ("kafka_cert", cert), ("kafka_cert_key", cert_key)):
        if path is not None and not path.is_file():
            raise SettingsError(f"{name}: {path}: there is no such file")
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        raise SettingsError(f"kafka_ca: {ca} holds no certificates in PEM: {in_words(error)}") from None
    if cert is not None:
        try:
            context.load_cert_chain(cert, cert_key, password=_no_passphrase)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"kafka_cert, kafka_cert_key: {cert} and its key cannot be used: {in_words(error)}; both must be PEM, "
                "and the key without a passphrase"
            ) from None
    return context


def _no_passphrase() -> str:
    """Asked for by an encrypted key only; without this the terminal would be asked."""
    raise ValueError("the key has a passphrase")


class TokenFile(AbstractTokenProvider):
    """OAUTHBEARER with the token that stands in a file, read at every login: something else keeps it fresh."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """See aiokafka. Raises AuthenticationFailedError where there is none."""
        try:
            return await asyncio.to_thread(read_secret, self._path, "kafka_token_file")
        except SettingsError as error:
            raise AuthenticationFailedError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Security:
    """Implements `schemas.kafka.KafkaSecurity`."""

    protocol: str
    context: ssl.SSLContext | None = field(default=None, repr=False)
    mechanism: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The settings it was made of, as environment."""

    def client_options(self) -> Mapping[str, Any]:
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.context is not None:
            options["ssl_context"] = self.context
        if self.mechanism is not None:
            options["sasl_mechanism"] = self.mechanism
        if self.token_file is not None:
            options["sasl_oauth_token_provider"] = TokenFile(self.token_file)
        elif self.mechanism is not None:
            options |= {"sasl_plain_username": self.user, "sasl_plain_password": self.password}
        return options

    async def refusal(self, addresses: Sequence[str]) -> str | None:
        """See the port. aiokafka tells "unable to bootstrap" only, so each broker is asked once more."""
        errors = await asyncio.gather(*map(self._error_of, addresses))
        if None in errors:
            return None
        reasons = {address: self._reason(error) for address, error in zip(addresses, errors, strict=True) if error}
        return "; ".join(f"{address}: {reason}" for address, reason in reasons.items() if reason) or None

    async def doubt(self, addresses: Sequence[str]) -> str | None:
        """See the port."""
        return await doubt(addresses, self.protocol)

    async def _error_of(self, address: str) -> Exception | None:
        """What keeps this client from a broker; None where it lets it in."""
        host, _, port = address.rpartition(":")
        options = {"client_id": "funnelcast", "request_timeout_ms": _ASK_MS, **self.client_options()}
        try:
            connection = await create_conn(host.strip("[]"), int(port), **options)
        except (KafkaError, OSError, TimeoutError) as error:
            return error
        connection.close()
        return None

    def _reason(self, error: BaseException) -> str | None:
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = error.verify_message.rstrip(".")
            return (
                f"its certificate does not verify: {reason}. Check kafka_ca, and that the host name of the "
                "address is in the certificate"
            )
        if isinstance(error, _REFUSALS):
            return (
                f"the login is refused ({self.mechanism}): {error}. Check kafka_mechanism, user and password or token"
            )
        if isinstance(error, ssl.SSLError) and not isinstance(error, _BROKEN):
            return (
                f"TLS fails: {in_words(error)}. Check kafka_security, and kafka_cert where clients need a certificate"
            )
        cause = error.__cause__ or error.__context__
        return None if cause is None else self._reason(cause)
