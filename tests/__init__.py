"""The tests: by room in the folders, and end to end (tests/end_to_end) against a real gunicorn and a real origin."""
