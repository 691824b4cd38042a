"""The main job on one machine: a real history, then a live shop."""
