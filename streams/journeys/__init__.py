"""Readers of what is told of journeys: each change once, on a terminal or as a webhook. Count nothing."""
