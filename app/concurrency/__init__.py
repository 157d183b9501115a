"""gevent helpers: greenlets, threads, keyed locks, the clock."""
