"""Which members of a group have died on this machine, told by real processes; the broker's part is in tests/kafka."""

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
