"""The key with which an installation hashes e-mails and phones. Reads it, or makes it once; hashes nothing itself."""

from __future__ import annotations

import os
import secrets

from funnelcast.settings import SettingsError
from funnelcast.settings.sections import ContactKeySettings
from producers.files.durable import make_private

_FILE = "contact.key"


def ensure_contact_key(settings: ContactKeySettings) -> bytes:
    """The installation's key. Where none is set it is made once and kept in the state directory."""
    if settings.contact_key:
        return settings.contact_key.encode()
    path = settings.state_dir / _FILE
    make_private(path.parent)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return path.read_text().strip().encode()


def existing_contact_key(settings: ContactKeySettings) -> bytes:
    """The key that the collector uses. Raises SettingsError where there is none: with a new one no person is found."""
    path = settings.state_dir / _FILE
    if not settings.contact_key and not path.is_file():
        raise SettingsError(
            f"no contact key: set FUNNELCAST_CONTACT_KEY, or --state-dir to the collector's (there is no {path})"
        )
    return ensure_contact_key(settings)
