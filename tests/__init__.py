"""The tests: one package for each package of app, and end_to_end, with a real gunicorn and a real origin."""
