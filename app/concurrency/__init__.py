"""Greenlets, threads, locks and the clock."""
