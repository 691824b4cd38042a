"""What was refused: its record, how it is read, listed and sent again."""
