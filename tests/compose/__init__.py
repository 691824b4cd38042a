"""docker-compose.yml as it is shipped, brought up in real containers. Needs root on Debian, Go, Maven and Java."""
