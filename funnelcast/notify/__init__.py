"""Alerts and reports for who has no Alertmanager: mails and chats, quiet hours, tried again, never lost in silence."""
