"""The files that tell a worker which members of its group have died; real processes are in tests/integration."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streams.transport import members
from streams.transport.members import MemberFiles, watch_members
from tests.support.waiting import until


def ids(files: MemberFiles) -> list[str]:
    """Member ids of the dead."""
    return [member.member_id for member in files.dead()]


def test_the_newest_id_counts_and_a_member_that_has_left_leaves_nothing(tmp_path: Path) -> None:
    files, survivor = MemberFiles(tmp_path), MemberFiles(tmp_path)
    files.note("a member id that is longer")
    files.note("newest")
    files.drop()
    assert ids(survivor) == ["newest"]
    left = MemberFiles(tmp_path)
    left.note("left")
    left.close()
    assert ids(survivor) == ["newest"]


def test_files_of_another_machine_and_unreadable_ones_are_removed_and_never_believed(tmp_path: Path) -> None:
    elsewhere = MemberFiles(tmp_path, machine="another kernel")
    elsewhere.note("alive-elsewhere")
    elsewhere.drop()
    (tmp_path / "torn.member").write_bytes(b"\xff")
    assert ids(MemberFiles(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


class _Answer:
    error_code = 0


class _Consumer:
    """Of a broker whose first answer cannot be read."""

    def __init__(self) -> None:
        self._coordinator: Any = self
        self._client: Any = self
        self.member_id, self.group_id, self.coordinator_id = "living", "group", 1
        self.asked = 0

    async def send(self, _node: int, _request: object) -> _Answer:
        self.asked += 1
        if self.asked == 1:
            raise KeyError("an answer of another shape")
        return _Answer()


async def test_what_goes_wrong_once_does_not_end_the_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "LOOK_SECONDS", 0.0)
    dead = MemberFiles(tmp_path)
    dead.note("dead")
    dead.drop()
    consumer, files = _Consumer(), MemberFiles(tmp_path)
    watching = asyncio.create_task(watch_members(consumer, files))
    await until(lambda: consumer.asked == 2 and not files.dead(), what="the second look")
    watching.cancel()
    assert ids(MemberFiles(tmp_path)) == [], "nothing but its own file, which is locked"
