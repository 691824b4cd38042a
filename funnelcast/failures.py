"""Which exit code an error means (0 done, 1 no, 2 wrong use, 70 needs a human, 75 try again). Decides, prints nothing.

Known by the name of the class so that a `--help` imports no adapter.
"""

from __future__ import annotations

import errno

_CANNOT_LISTEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)
_CODES = {
    "FunnelError": 2,
    "SettingsError": 2,
    "InputFileError": 2,
    "WebhooksError": 2,
    "StoreAddressError": 2,
    "CollectorRefusedError": 2,
    "SpoolUnusableError": 2,
    "NoSuchLetterError": 2,
    "StoreRefusedError": 70,
    "LogGapError": 70,
    "NeedsHumanError": 70,
    "StoreUnavailableError": 75,
    "BrokerUnavailableError": 75,
    "HooksUnavailableError": 75,
    "TryAgainError": 75,
    "SpoolBusyError": 75,
}


def exit_code_of(error: BaseException) -> int | None:
    """Exit code of a known error, None for an unexpected one (a bug: let it be seen)."""
    if isinstance(error, OSError) and (error.errno in _CANNOT_LISTEN or str(error).startswith("cannot listen")):
        return 2
    for one in type(error).__mro__:
        if one.__name__ in _CODES:
            return _CODES[one.__name__]
    return None
