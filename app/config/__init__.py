"""What can be configured, validated when the service starts."""
