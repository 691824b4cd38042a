"""Tests of everything, and what they share (tests/support)."""

import os
import sys

# What pytest and the processes of a test compile is kept for the next, whatever the environment says: to compile all of
# it again was a tenth of the unit tests' time, and more of each process that a test starts.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
