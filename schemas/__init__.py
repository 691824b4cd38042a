"""The published language of funnelcast: events, funnels, topics, reasons, counters.

Pure: imports nothing of ours, does no I/O except reading funnel files, knows no clock.
"""
