"""Kills real processes at random and compares the counters with an oracle."""
