"""The reports API: what `funnelcast report --json` prints, over HTTP. Reads counters, no journeys; never writes."""
