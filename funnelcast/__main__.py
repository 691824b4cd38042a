"""`python -m funnelcast` and the command: nothing is imported before Ctrl-C is answered quietly."""

from __future__ import annotations

import gc
import os
import sys


def _start_fast() -> None:
    """What is imported stays, so looking for garbage in it is in vain; and pydantic would read the description of every
    installed package in search of plugins. Together a quarter of a collector's start."""
    gc.set_threshold(50_000, 20, 100)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def run() -> None:
    """The command."""
    _start_fast()
    try:
        from funnelcast.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()


if __name__ == "__main__":
    run()
