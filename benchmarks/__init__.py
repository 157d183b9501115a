"""Benchmarks of the service. Each compares it with peers that are measured in the same run, and prints ratios."""
