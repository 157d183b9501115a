"""Tests of app/concurrency."""
