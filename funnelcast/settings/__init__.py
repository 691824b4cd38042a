"""What an operator may set: one frozen value for each process, loaded from flags, environment and file alike."""

from funnelcast.settings.errors import SettingsError

__all__ = ["SettingsError"]
