"""Tests of the lookup service and its parts."""
