"""DuckDB on one file: a connection that reads it and nothing else. Comes with the extra `import`."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from producers.reading.clear import ClearFile
from schemas.errors import UsageError

MISSING: Final = "%s needs more than the plain installation: pip install 'funnelcast[import]'"
_MEMORY: Final = "512MB"
_THREADS: Final = 2
_PATTERN: Final = frozenset("*?[]")


@contextmanager
def duckdb(clear: ClearFile) -> Iterator[tuple[Any, str, type[Exception]]]:
    """(connection, path of the file in clear, what it raises). Raises UsageError where DuckDB is not installed."""
    try:
        library: Any = importlib.import_module("duckdb")
    except ImportError:
        raise UsageError(MISSING % clear.name) from None
    with tempfile.TemporaryDirectory(prefix="funnelcast-") as directory:
        path = Path(clear.name)
        if (
            clear.file.name != clear.name or clear.start or _PATTERN & set(clear.name)
        ):  # not this very file, or a pattern
            path = Path(directory) / "file"
            with path.open("wb") as copy:
                shutil.copyfileobj(clear.rewound(), copy)
        connection = library.connect(config={"memory_limit": _MEMORY, "threads": _THREADS, "temp_directory": directory})
        connection.execute("SET enable_progress_bar = false")  # it would draw on stdout
        try:
            yield connection, str(path), library.Error
        finally:
            connection.close()
