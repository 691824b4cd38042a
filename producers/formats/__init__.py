"""How each client says an event: one module a format, behind one port. Pure."""
