"""Tests of the HTTP endpoints and of the web page."""
