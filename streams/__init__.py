"""Reads Kafka and counts: transport, worker, core, store, exporter, reports. Imports `schemas`, never `producers`."""
