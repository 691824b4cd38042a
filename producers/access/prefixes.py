"""How keys begin: what scope a key has can be read off it. Values only."""

from __future__ import annotations

from typing import Final

from producers.ingest.verdicts import Scope

PREFIXES: Final = {Scope.BROWSER: "fcb_", Scope.SERVER: "fcs_", Scope.HISTORICAL: "fch_", Scope.READ: "fcr_"}
SECRET_SCOPES: Final = {prefix: scope.value for scope, prefix in PREFIXES.items() if scope is not Scope.BROWSER}
"""Of keys that must not be public."""
