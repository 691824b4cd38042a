"""From the settings of a connection to Kafka to the value that every client takes. What does not fit together is
refused, so that no setting is passed over in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from funnelcast.settings.catalogue import variables_of
from funnelcast.settings.errors import SettingsError
from funnelcast.settings.kafka_plain import Plain
from funnelcast.settings.secrets import read_secret
from funnelcast.settings.setting import without_credentials
from schemas.kafka import KafkaServers

if TYPE_CHECKING:
    from funnelcast.settings.sections import KafkaSettings

_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/@,\[\]]+):[0-9]{1,5}")
_OAUTHBEARER: Final = "OAUTHBEARER"


def servers_of(settings: KafkaSettings) -> KafkaServers:
    """The brokers with TLS and login. Raises SettingsError with a line for every mistake."""
    if not settings.kafka:
        raise SettingsError(
            "no Kafka address: give --kafka host:port, set FUNNELCAST_KAFKA, or run `funnelcast stack up` first"
        )
    servers = KafkaServers.of(settings.kafka)
    mistakes = [*_wrong_addresses(servers), *_wrong_tls(settings), *_wrong_login(settings)]
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    if settings.kafka_security == "plaintext":
        return KafkaServers(servers.addresses, Plain())
    from funnelcast.settings.kafka_security import Security, tls_context  # brings aiokafka
    from funnelcast.settings.sections import KafkaSettings

    has_tls, has_login = _has_tls(settings), _has_login(settings)
    return KafkaServers(
        servers.addresses,
        Security(
            protocol=settings.kafka_security.upper(),
            context=tls_context(ca=settings.kafka_ca, cert=settings.kafka_cert, cert_key=settings.kafka_cert_key)
            if has_tls
            else None,
            mechanism=settings.kafka_mechanism if has_login else None,
            user=settings.kafka_user,
            password=_password(settings),
            token_file=settings.kafka_token_file,
            variables=variables_of(KafkaSettings, settings),
        ),
    )


def _has_tls(settings: KafkaSettings) -> bool:
    return settings.kafka_security in ("ssl", "sasl_ssl")


def _has_login(settings: KafkaSettings) -> bool:
    return settings.kafka_security in ("sasl_plaintext", "sasl_ssl")


def _wrong_addresses(servers: KafkaServers) -> Iterator[str]:
    for address in servers.addresses:
        if not _ADDRESS.fullmatch(address):
            shown = without_credentials(address)
            yield (
                f"kafka: {shown!r} is no address; write host:port, and a comma between several; a login belongs into "
                "kafka_user and kafka_password"
            )


def _wrong_tls(settings: KafkaSettings) -> Iterator[str]:
    if not _has_tls(settings):
        for name in ("kafka_ca", "kafka_cert", "kafka_cert_key"):
            if getattr(settings, name):
                yield f"{name}: of no use with kafka_security {settings.kafka_security}; set that to ssl or sasl_ssl"
    elif settings.kafka_cert_key and not settings.kafka_cert:
        yield "kafka_cert_key: of no use without kafka_cert"


def _wrong_login(settings: KafkaSettings) -> Iterator[str]:
    is_token = settings.kafka_mechanism == _OAUTHBEARER
    if not _has_login(settings):
        for name in ("kafka_user", "kafka_password", "kafka_password_file", "kafka_token_file"):
            if getattr(settings, name):
                yield f"{name}: of no use with kafka_security {settings.kafka_security}; set that to sasl_ssl"
    elif is_token and not settings.kafka_token_file:
        yield "kafka_token_file: kafka_mechanism OAUTHBEARER needs it"
    elif not is_token and settings.kafka_token_file:
        yield "kafka_token_file: of use with kafka_mechanism OAUTHBEARER only"
    elif not is_token and not settings.kafka_user:
        yield f"kafka_user: kafka_security {settings.kafka_security} needs it"
    elif not is_token and not (settings.kafka_password or settings.kafka_password_file):
        yield (
            f"kafka_password: kafka_security {settings.kafka_security} needs it; give kafka_password_file, or set "
            "FUNNELCAST_KAFKA_PASSWORD"
        )
    elif settings.kafka_password and settings.kafka_password_file:
        yield "kafka_password and kafka_password_file: set one of them"


def _password(settings: KafkaSettings) -> str | None:
    if settings.kafka_password_file is None:
        return settings.kafka_password
    return read_secret(settings.kafka_password_file, "kafka_password_file")
