"""Where a visitor came from: tags and click ids of an address, the site that referred, the channel they make."""
