"""Counters to rates, documents and tables. Pure but for reading the store."""
