"""Tests of the rules, and of what they stand on."""
