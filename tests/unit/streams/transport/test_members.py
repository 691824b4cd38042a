"""The files that tell a worker which members of its group have died; the broker's part is in tests/kafka."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from streams.transport.members import MemberFiles

_NOTE_AND_WAIT = """
import sys
from pathlib import Path
from streams.transport.members import MemberFiles
files = MemberFiles(Path(sys.argv[1]))
files.note("member-1")
print("noted", flush=True)
sys.stdin.read()
"""


def ids(files: MemberFiles) -> list[str]:
    """Member ids of the dead."""
    return [member.member_id for member in files.dead()]


def test_a_process_that_was_killed_is_found_and_one_that_only_stands_still_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _NOTE_AND_WAIT, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"noted\n"
        survivor = MemberFiles(tmp_path)
        survivor.note("survivor")
        child.send_signal(signal.SIGSTOP)
        assert ids(survivor) == []
        child.kill()
        child.wait()
        assert ids(survivor) == ["member-1"]
        assert ids(survivor) == ["member-1"], "until the broker has been told"


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
