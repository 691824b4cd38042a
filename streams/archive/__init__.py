"""The events topic as Parquet files by day, exactly once: written from the log, read by a recount (docs/archive.md)."""
