"""Tests of app.fetch, over real connections, to origin servers that misbehave or are hostile."""
