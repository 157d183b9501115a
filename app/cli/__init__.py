"""The command line, ``python -m app``: what each command does, an exit status as its end.

``check`` needs the service's configuration and its rooms; ``get`` and ``explain`` ask a running service as any other
client would, and need neither.
"""
