"""Answers from what is stored now: each reads through the store's port and asks a pure module. Never writes."""
