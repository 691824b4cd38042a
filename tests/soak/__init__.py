"""Everything starts and stops every time: `python -m tests.soak`, which `make soak-start` runs."""
