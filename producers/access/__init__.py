"""Who may send: write keys and the origins they may come from."""
