"""Two children that are started at the same time never get one port."""

from __future__ import annotations

from funnelcast.processes.ports import free_port


def test_a_number_is_never_given_twice() -> None:
    numbers = [free_port() for _ in range(600)]  # drawn at random, some 15 of them would be twice there
    assert len(set(numbers)) == len(numbers)
