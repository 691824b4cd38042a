"""Starts a program that dies with the process that started it, even when that one is killed with -9.

Run as a file: `python -I -S leash.py PARENT_PID COMMAND...`; replaces itself by COMMAND, so the pid stays. Uses the
standard library alone and imports nothing of ours: it must start in milliseconds and survive a half-broken install.
"""

import os
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1


def _tie_on_linux() -> None:
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch_elsewhere(parent: int) -> None:
    """A forked watcher for systems without parent-death signals: looks once a second."""
    target = os.getpid()
    if os.fork():
        return
    while os.getppid() == target:
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os.kill(target, signal.SIGKILL)
            break
        time.sleep(1)
    os._exit(0)


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        _tie_on_linux()
    else:
        _watch_elsewhere(parent)
    if os.getppid() != parent:  # it died before the tie was made
        sys.exit(0)
    # signals that the parent ignores would be ignored by the command, too
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606 - a fixed argument list, no shell


if __name__ == "__main__":
    main()
