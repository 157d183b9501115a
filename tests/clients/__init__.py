"""Clients of other makers, one script each: every one makes the same calls and prints each answer as a line of JSON."""
