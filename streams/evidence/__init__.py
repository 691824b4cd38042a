"""Evidence that a share or a volume has changed, computed from counters. Pure."""
