"""Tests of the calculations and parsers of the benchmarks. They measure nothing."""
