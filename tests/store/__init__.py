"""Tests of the stores: one contract suite that every store passes, and suites for what is specific to each."""
