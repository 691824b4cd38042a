"""How soon a drop is found, and how often none is found where there is none: simulated histories, several methods."""
