"""Rules and metrics, read by those that Debian does not have: Prometheus 3, and VictoriaMetrics' vmalert."""
