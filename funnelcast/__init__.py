"""The command: composes schemas, producers and streams into processes. Holds no counting, no parsing, no storage."""

__version__ = "0.1.0"
