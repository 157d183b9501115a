"""Tests of app/extract, and of the rules and response patterns in app/config."""
