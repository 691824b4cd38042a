"""Starts, watches and stops processes of ours."""
