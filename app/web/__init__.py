"""The service's faces over HTTP."""
