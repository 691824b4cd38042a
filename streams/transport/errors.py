"""What can go wrong between the log and the worker, named by what to do about it. No behaviour here."""

from __future__ import annotations


class TransportError(Exception):
    """Base of the transport's errors."""


class NeedsHumanError(TransportError):
    """Counting on would make numbers wrong: stop, exit 70, do not restart. The text says what to do."""


class LogGapError(NeedsHumanError):
    """Records between the stored cursor and the log are gone."""


class BrokerUnavailableError(TransportError):
    """No broker answers, or not in time: nothing is wrong with the data, try again (exit 75)."""
