"""Telemetry: counters, metrics, logs, hub lag."""
