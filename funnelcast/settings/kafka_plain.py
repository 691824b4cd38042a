"""A connection to Kafka without TLS and login: nothing to say to a client, but to tell a broker that speaks TLS from
one that is away. Clients wait for an answer of either until they give up, and say nothing of the reason."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_ASK_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Plain:
    """Implements `schemas.kafka.KafkaSecurity`."""

    @property
    def variables(self) -> Mapping[str, str]:
        """None."""
        return {}

    def client_options(self) -> Mapping[str, Any]:
        """None."""
        return {}

    async def refusal(self, addresses: Sequence[str]) -> str | None:
        """That a broker speaks TLS, where one that answers does and no other answers without."""
        answers = dict(zip(addresses, await asyncio.gather(*map(_speaks_tls, addresses)), strict=True))
        names = [address for address, speaks in answers.items() if speaks]
        if not names or False in answers.values():
            return None
        return f"{', '.join(names)}: speaks TLS. Set kafka_security to ssl, or to sasl_ssl with a login"

    async def doubt(self, addresses: Sequence[str]) -> str | None:
        """See the port."""
        return await doubt(addresses, "PLAINTEXT")


async def doubt(addresses: Sequence[str], protocol: str) -> str | None:
    """Where a broker takes connections and answers nothing that this protocol has."""
    if not any(await asyncio.gather(*map(_takes_connections, addresses))):
        return None
    said = f"takes connections and does not answer by {protocol}"
    return f"{said}; is kafka_security right (TLS or none, a login or none), and is it Kafka?"


async def _takes_connections(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        opening = asyncio.open_connection(host.strip("[]"), int(port))
        _, writer = await asyncio.wait_for(opening, _ASK_SECONDS)
    except OSError:
        return False
    writer.transport.abort()
    return True


async def _speaks_tls(address: str) -> bool | None:
    """None where nothing answers."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only asked, never trusted
    try:
        opening = asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
        _, writer = await asyncio.wait_for(opening, _ASK_SECONDS)
    except ssl.SSLError as error:
        return "ALERT" in str(error)
    except ConnectionError as error:
        return None if isinstance(error, ConnectionRefusedError) else False
    except (OSError, TimeoutError):
        return None
    writer.transport.abort()
    return True
