"""Memory: what is known, and who is finding out. Nothing in here knows what a cover is."""
