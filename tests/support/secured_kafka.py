"""A real Apache Kafka broker with TLS, logins and rights: listeners for SASL_SSL and for mutual TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from funnelcast.processes.ports import free_port
from funnelcast.settings.load import load_settings
from funnelcast.settings.sections import KafkaSettings
from funnelcast.stack.real_kafka import RealKafka
from schemas.kafka import KafkaServers
from tests.support.certificates import Certificates, make_certificates

TOPIC, GROUP, CLUSTER = 2, 3, 4
READ, WRITE, CREATE, DELETE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 5, 6, 8, 10
_LITERAL, _ALLOW = 3, 3
USERS = ("admin", "owner", "collector", "worker", "enricher", "tool", "weak")
"""Each with the password `NAME-secret`; admin may do everything, the others what a test grants."""


@dataclass(frozen=True)
class SecuredKafka:
    """The broker and what a client needs."""

    broker: RealKafka
    mutual: str
    """Address of the listener that wants a client's certificate."""
    certificates: Certificates

    def variables(self, user: str, **more: str | Path) -> dict[str, str]:
        """Settings of a client with SASL_SSL, as environment; `more` by the setting's name."""
        settings: Mapping[str, str | Path] = {
            "kafka": self.broker.bootstrap,
            "kafka_security": "sasl_ssl",
            "kafka_user": user,
            "kafka_password": f"{user}-secret",
            "kafka_ca": self.certificates.ca,
            **more,
        }
        return {f"FUNNELCAST_{name.upper()}": str(value) for name, value in settings.items()}

    def servers(self, user: str, **more: str | Path) -> KafkaServers:
        """The same as the value that clients take."""
        return load_settings(KafkaSettings, environment=self.variables(user, **more)).need_kafka()

    async def allow(self, user: str, kind: int, name: str, *operations: int) -> None:
        """Grant rights on one topic, group or the cluster."""
        admin = AIOKafkaAdminClient(**self.servers("admin").client_options())
        await admin.start()
        try:
            for operation in operations:
                request = CreateAclsRequest(kind, name, _LITERAL, f"User:{user}", "*", operation, _ALLOW)
                client: Any = admin._client
                answer = await client.send(client.get_random_node(), request)
                assert [code for code, *_ in answer.creation_responses] == [0]
        finally:
            await admin.close()


def _properties(port: int, mutual: int, inner: int, controller: int, files: Certificates) -> dict[str, str | int]:
    login = "org.apache.kafka.common.security"
    listeners = f"SASL_SSL://127.0.0.1:{port},SSL://127.0.0.1:{mutual},PLAINTEXT://127.0.0.1:{inner}"
    jaas = "listener.name.sasl_ssl.{}.sasl.jaas.config"
    return {
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files.server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(files.ca),
        "listener.name.ssl.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        jaas.format("plain"): f'{login}.plain.PlainLoginModule required user_admin="admin-secret";',
        jaas.format("scram-sha-256"): f"{login}.scram.ScramLoginModule required;",
        jaas.format("scram-sha-512"): f"{login}.scram.ScramLoginModule required;",
        jaas.format("oauthbearer"): f"{login}.oauthbearer.OAuthBearerLoginModule required;",
        "listener.name.sasl_ssl.oauthbearer.sasl.server.callback.handler.class": f"{login}.oauthbearer.internals."
        "unsecured.OAuthBearerUnsecuredValidatorCallbackHandler",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:ANONYMOUS;User:CN=client",
    }


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """For the whole session: no test kills it."""
    files = make_certificates(tmp_path_factory.mktemp("certificates"))
    port, mutual, inner, controller = (free_port() for _ in range(4))
    scram = [
        f"{mechanism}=[name={user},password={user}-secret]"
        for user in USERS
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
    ]
    broker = RealKafka(
        tmp_path_factory.mktemp("secured-kafka"),
        port=port,
        properties=_properties(port, mutual, inner, controller, files),
        format_options=[word for each in scram for word in ("--add-scram", each)],
    )
    asyncio.run(broker.start())
    try:
        yield SecuredKafka(broker, f"127.0.0.1:{mutual}", files)
    finally:
        asyncio.run(broker.stop())
