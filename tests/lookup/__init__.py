"""Tests of app/lookup/service."""
