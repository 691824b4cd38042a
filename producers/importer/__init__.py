"""Files through the collector: JSONL and CSV, in order, with progress."""
