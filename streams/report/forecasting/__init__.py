"""Revenue to expect of journeys under way, and how well that went in the past. Pure: no store, no clock."""
