"""State in Redis: one fenced, all-or-nothing write per chunk; a twin in memory."""
