"""One story for the whole tier: it takes minutes to tell."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.observability.story import Story, told
from tests.support.stack import StackAddresses


@pytest.fixture(scope="session")
def story(embedded_stack: StackAddresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """What happened, and the servers that saw it."""
    with told(embedded_stack, tmp_path_factory.mktemp("story"), time.time_ns() // 1_000_000) as story:
        yield story
