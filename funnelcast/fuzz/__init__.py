"""Mutated requests and noise against a collector; nothing may break."""
