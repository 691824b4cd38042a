"""The worker's contract on Apache Kafka."""

from __future__ import annotations

import pytest

from funnelcast.stack.real_kafka import RealKafka
from tests.support.kafka import real_kafka  # noqa: F401 - a fixture
from tests.support.worker_contract import *  # noqa: F403 - the tests of the contract

pytestmark = pytest.mark.kafka


@pytest.fixture
def broker(real_kafka: RealKafka) -> str:  # noqa: F811
    """Address of the broker."""
    return real_kafka.bootstrap


@pytest.fixture
def session_seconds() -> float:
    """The least that Apache Kafka allows."""
    return 6.0
