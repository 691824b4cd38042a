"""The columns of an archive as DuckDB makes them out of records. SQL texts alone: nothing is run here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_JSON: Final = "{partition: 'INTEGER', \"offset\": 'BIGINT', timestamp_ms: 'BIGINT', key: 'VARCHAR', record: 'VARCHAR'}"
TEXT_COLUMNS: Final = ("id", "name", "source", "user_id", "contact_id", "anonymous_id", "link")
_KIND: Final = """CASE WHEN NOT json_valid(record) THEN 'other'
  WHEN record LIKE '{"forward":%' THEN 'forward'
  WHEN json_exists(record, '$.tick') THEN 'tick' WHEN json_exists(record, '$.forget') THEN 'forget'
  WHEN json_exists(record, '$.link') THEN 'link' WHEN json_exists(record, '$.name') THEN 'event' ELSE 'other' END"""


def is_personal(column: str) -> bool:
    """Whether a text column may say who it was."""
    return column not in ("name", "source")


def columns_of(source: Path) -> str:
    """A query that makes the columns of an archive out of a file of rows as JSON."""
    texts = ", ".join(
        f"CASE WHEN json_valid(record) THEN json_extract_string(record, '$.{name}') END AS {name}"
        for name in TEXT_COLUMNS
    )
    times = ", ".join(
        f"CASE WHEN json_valid(record) THEN epoch_ms(TRY_CAST(json_extract_string(record, '$.{name}_ms') AS BIGINT)) "
        f"END AS {name}"
        for name in ("occurred_at", "received_at")
    )
    parts = ", ".join(
        f"CASE WHEN json_valid(record) THEN CAST(json_extract(record, '$.{name}') AS VARCHAR) END AS {name}"
        for name in ("properties", "context")
    )
    file = f"read_json({quoted(str(source))}, format = 'newline_delimited', columns = {_JSON})"
    return (
        f'SELECT partition, "offset", timestamp_ms, {_KIND} AS kind, key, {texts}, {times}, {parts}, record FROM {file}'
    )


def quoted(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"
