"""Where the Kafka brokers are and how a client shows who it is: one value for every process. No I/O, no client library.

What a client library needs for TLS and a login comes in from outside (`funnelcast.settings.kafka_security`), so that
a client knows neither files nor secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.errors import BrokerUnavailableError, FunnelcastError, NeedsHumanError


class KafkaRefusedError(NeedsHumanError):
    """A broker refuses this client, or shows a certificate that does not verify: waiting changes nothing."""


class KafkaSecurity(Protocol):
    """TLS and login of a client."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The settings that say the same, as environment of a child process."""

    def client_options(self) -> Mapping[str, Any]:
        """Keyword arguments for every client of aiokafka."""

    async def refusal(self, addresses: Sequence[str]) -> str | None:
        """Why no broker lets this client in, in the broker's words; None where one does or where none answers."""

    async def doubt(self, addresses: Sequence[str]) -> str | None:
        """What may be wrong where a broker takes connections and does not answer; None where none takes one."""


@dataclass(frozen=True, slots=True)
class KafkaServers:
    """Brokers to begin with, and the way to connect to them. Without `security` neither TLS nor a login."""

    addresses: tuple[str, ...]
    security: KafkaSecurity | None = field(default=None, repr=False)

    @classmethod
    def of(cls, kafka: Kafka) -> KafkaServers:
        """Of `host:port[,host:port]`."""
        if isinstance(kafka, KafkaServers):
            return kafka
        return cls(tuple(address.strip() for address in kafka.split(",") if address.strip()))

    def __str__(self) -> str:
        return ",".join(self.addresses)

    def variables(self) -> Mapping[str, str]:
        """The settings of TLS and login, as environment of a child process."""
        return {} if self.security is None else self.security.variables

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for every client of aiokafka."""
        security = {} if self.security is None else self.security.client_options()
        return {"bootstrap_servers": list(self.addresses), **security}

    async def refusal(self) -> KafkaRefusedError | None:
        """The error to end with, where the brokers refuse this client."""
        why = None if self.security is None else await self.security.refusal(self.addresses)
        return None if why is None else KafkaRefusedError(f"Kafka at {self} cannot be used: {why}")

    async def silence(self) -> str:
        """What to say where no broker answers."""
        doubt = None if self.security is None else await self.security.doubt(self.addresses)
        return f"Kafka at {self} " + (doubt or "does not answer; is the address right, and does it run?")


Kafka = str | KafkaServers
"""Addresses alone, for a broker without TLS and login, or all of it."""


def is_right_missing(error: BaseException | None) -> bool:
    """Whether a broker refused one request for want of a right (TopicAuthorizationFailedError and the like)."""
    return type(error).__name__.endswith("AuthorizationFailedError")


def right_missing(error: BaseException, what: str) -> KafkaRefusedError:
    """The error to end with for it."""
    return KafkaRefusedError(
        f"Kafka does not let this user use {what} ({type(error).__name__}): it lacks the rights that "
        "docs/operations.md, Kafka, names for this process"
    )


async def broker_error(kafka: Kafka, error: BaseException, *, text: str) -> FunnelcastError:
    """What to raise where a client could not do its work: `text` in an error that a later try may not meet, or why
    the brokers refuse it, which every try would meet."""
    if is_right_missing(error):
        return KafkaRefusedError(f"{text}; the user of this process lacks a right, see docs/operations.md, Kafka")
    servers = KafkaServers.of(kafka)
    if (refused := await servers.refusal()) is not None:
        return refused
    # whose own text is a list of tuples
    is_silent = type(error).__name__ == "KafkaConnectionError"
    return BrokerUnavailableError(await servers.silence() if is_silent else text)
