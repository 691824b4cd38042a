"""The worker's contract on the embedded broker."""

from __future__ import annotations

import pytest

from tests.support.stack import StackAddresses
from tests.support.worker_contract import *  # noqa: F403 - the tests of the contract


@pytest.fixture
def broker(embedded_stack: StackAddresses) -> str:
    """Address of the broker."""
    return embedded_stack.kafka


@pytest.fixture
def session_seconds() -> float:
    """The embedded broker lets a member join after half of it, and refuses none."""
    return 2.0
