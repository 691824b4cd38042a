"""What is asked of counters, a module for each question. Pure: no store, no clock."""
