"""Shapes of other people's archives: what a client would have sent, and rules for the lists of APIs. No I/O."""
