"""The exporter: what is counted, as Prometheus metrics, read from the store at scrape time."""
