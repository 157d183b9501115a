"""Tests of the examples in deploy/: the programs accept them, and no call is lost behind them while servers restart."""
