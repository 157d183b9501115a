"""Benchmarks of the service. Each compares it with a peer that runs in the same minute, and prints ratios."""
