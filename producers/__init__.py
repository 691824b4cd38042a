"""Puts events on Kafka: collector, importer, simulator. Imports `schemas` only; never `streams`."""
