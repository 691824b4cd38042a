"""What stands for nothing: marks that programs write into an empty place, and templates that nobody has filled in.

One notion for ids, which know some more marks (`schemas.ids`), and for values of dimensions. Pure text.
"""

from __future__ import annotations

import re
from typing import Final

MARKS: Final = frozenset(
    {
        *("null", "nil", "undefined", "nan", "n/a", "[object object]", "{}", "[]", "-", "--", "\\n"),
        *("(not set)", "not set", "(null)", "<null>"),
        *("#n/a", "#null!", "#ref!", "#value!", "#div/0!", "#name?", "#num!"),
    }
)
"""In any column, without case."""
TEMPLATE_STARTS: Final = frozenset("{$#<%*_")
_NAME: Final = r"\$?[A-Za-z_]+(?:[.:][A-Za-z_]+)*"
_TEMPLATE: Final = re.compile(
    r"\{\{.*\}\}|\{%.*%\}|\$\{.*\}|#\{.*\}|<%.*%>|%%.*%%|\*\|.*\|\*"
    rf"|\{{{_NAME}\}}|%{_NAME}%|%[sd]|%\({_NAME}\)[sd]|__[A-Z][A-Z_]*__",
    re.DOTALL,
)
"""Mustache, Liquid, JavaScript, Ruby, ERB, mailings, then single names: ad networks, Python, Windows."""


def is_template(text: str) -> bool:
    """Whether a trimmed text is nothing but a place to be filled in: `{{user_id}}`, `${id}`, `{campaignid}`, `%s`."""
    return text[:1] in TEMPLATE_STARTS and _TEMPLATE.fullmatch(text) is not None
