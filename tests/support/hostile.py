"""Text that would steer a terminal, hide what follows or break a line."""

HOSTILE = "\x1b[31mred\x1b]0;pwned\x07 \x9b2J \u202egnp.exe\u2066 \r\n2 rows\u2028\ud83d"
