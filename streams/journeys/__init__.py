"""Readers of the published changes of journeys: each change once, on a terminal or as a webhook. Count nothing."""
