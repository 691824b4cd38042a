"""A process says at its start what it runs with, and where from; nothing secret reaches its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.command import start_command
from tests.support.waiting import LIMIT

HIDDEN = "SENTINEL"


def test_a_process_logs_its_settings_first_and_masked(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[collector]\nmax_events = 7\n")
    process = start_command(
        *("collector", "--open", "--port", "0", "--config", str(tmp_path / "settings.toml")),
        state_dir=tmp_path,
        env={
            "FUNNELCAST_KAFKA": "127.0.0.1:9",
            "FUNNELCAST_KAFKA_SECURITY": "sasl_plaintext",
            "FUNNELCAST_KAFKA_USER": "user",
            "FUNNELCAST_KAFKA_PASSWORD": HIDDEN,
            "FUNNELCAST_CONTACT_KEY": HIDDEN,
        },
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
    finally:
        process.terminate()
        _, others = process.communicate(timeout=LIMIT)
    event: dict[str, Any] = json.loads(first)
    assert (event["event"], event["logger"]) == ("settings", "funnelcast.collector")
    assert event["sources"] == {
        "kafka": "FUNNELCAST_KAFKA",
        "kafka_security": "FUNNELCAST_KAFKA_SECURITY",
        "kafka_user": "FUNNELCAST_KAFKA_USER",
        "kafka_password": "FUNNELCAST_KAFKA_PASSWORD",
        "state_dir": "FUNNELCAST_STATE_DIR",
        "contact_key": "FUNNELCAST_CONTACT_KEY",
        "collector.port": "--port",
        "collector.open": "--open",
        "collector.max_events": f"{tmp_path / 'settings.toml'}: collector.max_events",
    }
    assert (event["values"]["kafka_password"], event["values"]["contact_key"]) == ("***", "***")
    assert event["values"]["collector.max_events"] == 7
    assert HIDDEN not in (first + others).decode()
