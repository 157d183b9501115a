<<<<<<< HEAD
"""The examples in deploy/: that programs take them, and that nothing is lost behind them while servers come and go."""
=======
"""What operators see of a running service."""
>>>>>>> origin/main
