"""Real processes, a real Prometheus and a real Alertmanager on what is shipped, over weeks of events in minutes."""
