"""A file is replaced whole or not at all, wherever the process dies."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from producers.files.durable import read_json, write_atomically
from tests.support.rows import rows
from tests.support.waiting import LIMIT

OLD, NEW = b"old" * 1000, b"new" * 5000

DIES_IN = {
    "in the middle of the write": """
real = os.pwrite
def pwrite(descriptor, data, offset):
    real(descriptor, bytes(data)[: len(data) // 2], offset)
    os._exit(9)
os.pwrite = pwrite
""",
    "before the file is on the disk": "os.fsync = lambda descriptor: os._exit(9)",
    "before the rename": "os.replace = lambda old, new: os._exit(9)",
    "behind the rename": """
real = os.replace
def replace(old, new):
    real(old, new)
    os._exit(9)
os.replace = replace
""",
}


@rows("moment", DIES_IN)
def test_a_crash_leaves_the_old_content_or_the_new_one(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, OLD)
    program = f"""
import os, sys
from pathlib import Path
from producers.files.durable import write_atomically
{DIES_IN[moment]}
write_atomically(Path(sys.argv[1]), b"new" * 5000)
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=LIMIT, check=False)
    assert done.returncode == 9
    assert path.read_bytes() == (NEW if moment == "behind the rename" else OLD)
    write_atomically(path, NEW)
    assert path.read_bytes() == NEW


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: real(descriptor, bytes(data)[:7], offset))
    write_atomically(tmp_path / "f", NEW)
    assert (tmp_path / "f").read_bytes() == NEW


def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_atomically(path, OLD)

    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, NEW)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f", OLD)]


@pytest.mark.parametrize("is_synced", [True, False])
def test_file_then_rename_then_directory_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_synced: bool
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def watched_replace(old: Path, new: Path) -> None:
        steps.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write_atomically(tmp_path / "f", NEW, is_synced=is_synced)
    assert steps == (["file", "rename", "directory"] if is_synced else ["rename"])


@rows("mode", [0o600, 0o644])
def test_the_mode_is_as_asked_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "deep" / "f", b"x", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "deep" / "f").stat().st_mode) == mode


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "torn").write_text('{"a": ')
    (tmp_path / "list").write_text("[1]")
    (tmp_path / "good").write_text('{"a": 1}')
    assert [read_json(tmp_path / name) for name in ("none", "torn", "list", "good")] == [None, None, None, {"a": 1}]
