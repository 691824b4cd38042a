"""Two children that are started at the same time never get one port."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from funnelcast.processes import ports
from funnelcast.processes.ports import free_port


def test_a_number_is_never_given_twice() -> None:
    numbers = [free_port() for _ in range(600)]  # drawn at random, some 15 of them would be twice there
    assert len(set(numbers)) == len(numbers)


TAKE = """
from funnelcast.processes import ports
ports._LOWEST, ports._HIGHEST = {low}, {high}
print(ports.free_port(), ports.free_port(), flush=True)
input()
"""


def test_no_other_process_is_given_the_same_number(monkeypatch: pytest.MonkeyPatch) -> None:
    low = free_port()
    monkeypatch.setattr(ports, "_LOWEST", low + 1)
    monkeypatch.setattr(ports, "_HIGHEST", low + 5)
    program = TAKE.format(low=low + 1, high=low + 5)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = {int(number) for number in other.stdout.readline().split()}
        ours: set[int] = set()
        with contextlib.suppress(OSError):  # none is left
            for _ in range(5):
                ours.add(free_port())
        other.communicate("\n")
    assert len(theirs) == 2
    assert not ours & theirs
