"""`python -m funnelcast` and the command: nothing is imported before Ctrl-C is answered quietly."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading


def _start_fast() -> None:
    """What is imported stays, so looking for garbage in it is in vain; and pydantic would read the description of every
    installed package in search of plugins. Together a quarter of a collector's start."""
    gc.set_threshold(50_000, 20, 100)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _hear_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Python throws away a Ctrl-C that comes within a destructor or a callback of its own, as while it imports: it is
    said again, from outside of that."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    again = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()


def run() -> None:
    """The command."""
    _start_fast()
    sys.unraisablehook = _hear_again
    try:
        from funnelcast.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()


if __name__ == "__main__":
    run()
