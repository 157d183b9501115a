"""Python's xmlrpc.client makes the calls of test_clients.py and prints each result as a line of JSON."""

import json
import sys
import xmlrpc.client
from collections.abc import Callable
from typing import Any

BAD_ID = "Ænima <銀> & 1"

transport = xmlrpc.client.Transport()
transport.encode_threshold = 1400  # bytes; longer requests are sent with gzip
server = xmlrpc.client.ServerProxy(sys.argv[1], transport=transport)


def outcome(call: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Make a call and return its value or its fault."""
    try:
        return {"value": call(*arguments)}
    except xmlrpc.client.Fault as fault:
        return {"fault": vars(fault)}


def report(step: str, call: Callable[..., Any], *arguments: Any) -> None:
    """Make a call and print its outcome as a line of JSON."""
    sys.stdout.write(json.dumps({"step": step, **outcome(call, *arguments)}) + "\n")


def multicall(*content_ids: int | str) -> list[Any]:
    """Look up several ids in one multicall; return the entries as in the response: arrays of one, or faults."""
    calls = xmlrpc.client.MultiCall(server)
    for content_id in content_ids:
        calls.get_cover(content_id)
    results = calls()
    entries = [outcome(results.__getitem__, index) for index in range(len(content_ids))]
    return [entry.get("fault") or [entry["value"]] for entry in entries]


report("an int id", server.get_cover, 42)
report("a string id", server.get_cover, "42")
report("an id with its source", server.get_cover, "ozon:42")
report("a missing item", server.get_cover, 404)
report("a bad id", server.get_cover, BAD_ID)
report("many ids", server.get_covers, [42, "7", 404, BAD_ID])
report("a long list", server.get_covers, list(range(1000, 1040)))
report("the methods", server.system.listMethods)
report("a signature", server.system.methodSignature, "get_cover")
report("a multicall", multicall, 42, "7", 404)
