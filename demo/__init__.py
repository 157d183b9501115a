"""The demonstration: a sample shop of made-up records, the service configured to it, and a client that asks.

`python -m demo` runs all three on this machine, without the Internet. It is a program of its own: it imports nothing of
the service and talks to it as any caller does, over XML-RPC.
"""
