"""A demonstration without the Internet: a sample shop, the service configured for it, and a client.

`python -m demo` runs all three on this machine. The demo imports nothing of the service. It starts gunicorn as a
separate process and calls it over XML-RPC, as any client does.
"""
