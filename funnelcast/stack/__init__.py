"""Broker and store for a laptop, tests and the demo."""
