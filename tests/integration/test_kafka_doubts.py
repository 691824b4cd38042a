"""Why a broker does not answer: it speaks TLS and the client does not, it says nothing, or it is away."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from aiokafka.errors import KafkaConnectionError

from funnelcast.processes.ports import free_port
from funnelcast.settings.load import load_settings
from funnelcast.settings.sections import KafkaSettings
from schemas.errors import BrokerUnavailableError
from schemas.kafka import KafkaRefusedError, broker_error
from tests.support.certificates import make_certificates


async def test_a_broker_that_speaks_tls_is_no_broker_that_is_away(tmp_path: Path) -> None:
    """Without TLS a client hears nothing of either; only the one is worth waiting for."""
    files = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.directory / "server.crt", files.directory / "server.key")

    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def error_at(*ports: int) -> Exception:
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        servers = load_settings(KafkaSettings, environment={"FUNNELCAST_KAFKA": addresses}).need_kafka()
        return await broker_error(servers, KafkaConnectionError(), text="no answer")

    speaking = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    plain = await asyncio.start_server(close, "127.0.0.1", 0)
    async with speaking, plain:
        tls, other = (server.sockets[0].getsockname()[1] for server in (speaking, plain))
        refused = await error_at(tls, free_port())
        assert isinstance(refused, KafkaRefusedError)
        assert f"127.0.0.1:{tls}: speaks TLS. Set kafka_security to ssl" in str(refused)
        for ports, says in (
            ((other,), "takes connections and does not answer by PLAINTEXT; is kafka_security right"),
            ((other, tls), "takes connections"),
            ((free_port(),), "does not answer; is the address right"),
        ):
            away = await error_at(*ports)
            assert isinstance(away, BrokerUnavailableError)
            assert says in str(away)
