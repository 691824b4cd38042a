"""The log as whole batches per partition, read by Faust from offsets the worker owns. Never counts, never stores."""
