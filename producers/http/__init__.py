"""HTTP itself: connections, bodies, addresses. Knows no event."""
