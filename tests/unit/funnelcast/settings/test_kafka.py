"""Settings of a connection to Kafka: what does not fit together is refused; nothing secret is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from funnelcast.processes.deployment import Deployment
from funnelcast.settings import SettingsError
from funnelcast.settings.load import load_settings
from funnelcast.settings.sections import KafkaSettings
from funnelcast.settings.show import rows as shown_rows
from tests.support.certificates import make_certificates
from tests.support.rows import rows

LOGIN = {"kafka": "a:1", "kafka_security": "sasl_plaintext", "kafka_user": "u", "kafka_password": "pw"}


def settings(**values: str) -> KafkaSettings:
    return load_settings(KafkaSettings, environment={f"FUNNELCAST_{key.upper()}": text for key, text in values.items()})


def test_addresses_alone_are_a_connection_without_tls_and_login() -> None:
    servers = settings(kafka="a:9092, b.example:9093,[::1]:9094").need_kafka()
    assert servers.addresses == ("a:9092", "b.example:9093", "[::1]:9094")
    assert servers.client_options() == {"bootstrap_servers": ["a:9092", "b.example:9093", "[::1]:9094"]}


@rows(
    ("values", "says"),
    [
        ({"kafka": ""}, "no Kafka address: give --kafka"),
        ({"kafka": "a"}, "kafka: 'a' is no address; write host:port"),
        ({"kafka": "user:s3cret@a:1"}, r"kafka: '\*\*\*@a:1' is no address; .*kafka_user and kafka_password"),
        ({"kafka": "kafka://a:1"}, "kafka: 'kafka://a:1' is no address"),
        ({"kafka_ca": "ca.crt"}, "kafka_ca: of no use with kafka_security plaintext"),
        ({"kafka_user": "u"}, "kafka_user: of no use with kafka_security plaintext; set that to sasl_ssl"),
        ({"kafka_security": "ssl", "kafka_password": "p"}, "kafka_password: of no use with kafka_security ssl"),
        ({"kafka_security": "ssl", "kafka_cert_key": "k"}, "kafka_cert_key: of no use without kafka_cert"),
        ({"kafka_security": "ssl", "kafka_ca": "none.crt"}, "kafka_ca: none.crt: there is no such file"),
        ({"kafka_security": "sasl_ssl"}, "kafka_user: kafka_security sasl_ssl needs it"),
        ({"kafka_security": "sasl_ssl", "kafka_user": "u"}, "kafka_password: .* give kafka_password_file, or set"),
        ({**LOGIN, "kafka_password_file": "f"}, "kafka_password and kafka_password_file: set one of them"),
        ({**LOGIN, "kafka_token_file": "t"}, "kafka_token_file: of use with kafka_mechanism OAUTHBEARER only"),
        ({**LOGIN, "kafka_mechanism": "OAUTHBEARER"}, "kafka_token_file: kafka_mechanism OAUTHBEARER needs it"),
        (
            {**LOGIN, "kafka_password": "", "kafka_password_file": "none"},
            "kafka_password_file: none cannot be read: No",
        ),
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as caught:
        settings(**{"kafka": "a:1", **values}).need_kafka()
    assert caught.value.exit_code == 2
    assert "s3cret" not in str(caught.value)


def test_a_login_reaches_the_client_and_no_text(tmp_path: Path) -> None:
    (file := tmp_path / "password").write_text("s3cret\n")
    chosen = settings(**{**LOGIN, "kafka_password": "", "kafka_password_file": str(file)})
    servers = chosen.need_kafka()
    assert servers.client_options() == {
        "bootstrap_servers": ["a:1"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "s3cret",
    }
    shown = json.dumps(shown_rows(settings(**LOGIN)))
    for text in (repr(servers), str(servers), repr(servers.security)):
        assert "s3cret" not in text
    assert '"pw"' not in shown
    assert '"***"' in shown


def test_an_empty_password_file_and_a_wrong_certificate_are_named(tmp_path: Path) -> None:
    (empty := tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingsError, match=f"kafka_password_file: {empty} is empty"):
        settings(**{**LOGIN, "kafka_password": "", "kafka_password_file": str(empty)}).need_kafka()
    with pytest.raises(SettingsError, match=f"kafka_ca: {empty} holds no certificates"):
        settings(kafka="a:1", kafka_security="ssl", kafka_ca=str(empty)).need_kafka()
    with pytest.raises(SettingsError, match="kafka_cert, kafka_cert_key"):
        settings(kafka="a:1", kafka_security="ssl", kafka_cert=str(empty)).need_kafka()


def test_a_child_process_connects_in_the_same_way(tmp_path: Path) -> None:
    files = make_certificates(tmp_path)
    parent = settings(**{**LOGIN, "kafka_security": "sasl_ssl", "kafka_ca": str(files.ca)}).need_kafka()
    child = Deployment(kafka=parent, redis="redis://h", space="s", funnels=("sales",), directory=tmp_path).environment()
    loaded = load_settings(KafkaSettings, environment=child)
    assert (loaded.kafka_user, loaded.kafka_password, loaded.kafka_ca) == ("u", "pw", files.ca)
    plain = Deployment(kafka="a:1", redis="redis://h", space="s", funnels=("sales",), directory=tmp_path).environment()
    assert plain["FUNNELCAST_KAFKA_PASSWORD"] == plain["FUNNELCAST_KAFKA_SECURITY"] == ""
