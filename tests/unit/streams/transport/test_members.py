"""The files that tell a worker which members of its group have died; real processes are in tests/integration."""

from __future__ import annotations

from pathlib import Path

from streams.transport.members import MemberFiles


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
