"""What is published: the built wheel in an empty environment."""
