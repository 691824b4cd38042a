"""Errors that a command ends with, named by what to do about them; each carries its exit code. No behaviour here.

Whatever else leaves a command is a bug: it ends with 1 and a traceback. Codes: 0 done, 1 the answer is no, 2 wrong use,
70 needs a human, 75 try again.
"""

from __future__ import annotations

from typing import ClassVar


class FunnelcastError(Exception):
    """Base of all errors that have an exit code; the text is for the operator and stands alone."""

    exit_code: ClassVar[int] = 1


class UsageError(FunnelcastError, ValueError):
    """An option, a setting or a file is wrong: a restart changes nothing, another value does."""

    exit_code = 2


class NeedsHumanError(FunnelcastError):
    """To go on would make numbers wrong, or cannot help: stop, do not restart. The text says what to do."""

    exit_code = 70


class TryAgainError(FunnelcastError):
    """Something is away or slow and nothing is lost: the same command, started again, goes on."""

    exit_code = 75


class InputFileError(UsageError):
    """A file that was named cannot be used."""


class PortTakenError(UsageError):
    """Another process listens there, or this user may not: choose another port."""


class BrokerUnavailableError(TryAgainError):
    """No broker answers, or not in time; nothing is wrong with the data."""
