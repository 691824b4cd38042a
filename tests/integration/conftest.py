"""Fixtures of the store's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.valkey import ValkeyServer


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for the whole session; tests keep apart by spaces of their own."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server for one test to break. It writes its file before it answers: with everysec it may hold writes back while
    an fsync is under way, and what a kill loses would depend on the disk; here it is what the test cuts off."""
    server = ValkeyServer(tmp_path, options=("--appendfsync", "always"))
    server.start()
    yield server
    server.kill()
