"""The configuration: settings, sources, rules and response patterns, read and validated when the service starts."""
