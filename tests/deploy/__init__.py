"""The examples in deploy/: programs take them, and behind them nothing is lost while servers come and go."""
