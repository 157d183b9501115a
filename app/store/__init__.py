"""Caches and shared storage: values by key, leases, and invalidations. The package knows nothing of covers."""
