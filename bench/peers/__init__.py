"""The same job on other engines, beside ours: `make bench-peers`. README.md says what the job is."""
