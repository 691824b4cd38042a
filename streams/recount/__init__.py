"""Counts the log again for one funnel, beside the workers, and switches to the result (docs/decisions/recount.md)."""
