"""Files as people have them, as rows or JSON objects by line: packed or not, in any encoding. Knows no events."""
