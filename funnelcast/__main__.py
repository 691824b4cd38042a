"""`python -m funnelcast`: the same as the command."""

from funnelcast.cli import main

main()
