"""The HTTP front door: routes, admission, answers; 200 only after Kafka or the disk has the event."""
