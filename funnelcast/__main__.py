"""`python -m funnelcast` and the command: nothing is imported before Ctrl-C is answered quietly."""

from __future__ import annotations

import sys


def run() -> None:
    """The command."""
    try:
        from funnelcast.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main()


if __name__ == "__main__":
    run()
