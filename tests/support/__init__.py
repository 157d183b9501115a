"""What the tests share: a scripted origin, a running service, a browser, clocks and observers."""
