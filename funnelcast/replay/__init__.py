"""Counts a file from nothing, in memory or through the whole stack."""
