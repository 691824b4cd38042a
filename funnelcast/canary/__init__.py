"""Canary journeys: events of nobody, sent through the real doors, to see that what is sent is counted, and how soon."""
