"""The HTTP client of the collector: posts until it is answered, by one list of statuses and one policy of tries."""
