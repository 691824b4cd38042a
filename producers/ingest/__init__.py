"""Checks and normalises one event; decides its verdict. Pure."""
