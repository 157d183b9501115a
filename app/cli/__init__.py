"""The command line, ``python -m app``: one module for each command.

``get`` and ``explain`` are XML-RPC clients of a running service. They import no code of the service and read no
configuration. ``check`` reads the configuration of the service and fetches pages from the origins itself.
"""
