"""What is observed: counters, metrics, logs, the lag of the hub."""
