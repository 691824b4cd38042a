"""Keeps events on disk while Kafka is away, and drains them in order."""
