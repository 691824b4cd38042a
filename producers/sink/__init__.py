"""Acknowledged writes to Kafka, behind a port."""
