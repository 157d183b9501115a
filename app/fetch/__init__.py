"""HTTP client for origin servers: connections, limits, politeness. No other package makes requests to them."""
