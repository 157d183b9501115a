"""HTTP client for origin servers: connections, limits, politeness. Only this package sends requests to them."""
