"""funnelcast.js: its source, the built files that the collector serves, and what a page has to hold to load them."""
