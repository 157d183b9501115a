"""Python's xmlrpc.client makes the calls of the matrix and prints each answer as a line of JSON."""

import json
import sys
import xmlrpc.client
from collections.abc import Callable
from typing import Any

BAD_ID = "Ænima <銀> & 1"

transport = xmlrpc.client.Transport()
transport.encode_threshold = 1400  # it sends longer requests as gzip
server = xmlrpc.client.ServerProxy(sys.argv[1], transport=transport)


def told(call: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Return what comes of a call."""
    try:
        return {"value": call(*arguments)}
    except xmlrpc.client.Fault as fault:
        return {"fault": vars(fault)}


def tell(step: str, call: Callable[..., Any], *arguments: Any) -> None:
    """Print what comes of a call."""
    sys.stdout.write(json.dumps({"step": step, **told(call, *arguments)}) + "\n")


def multicall(*content_ids: int | str) -> list[Any]:
    """Look up all at once; return the answers as they were on the wire, in an array of one or a fault."""
    calls = xmlrpc.client.MultiCall(server)
    for content_id in content_ids:
        calls.get_cover(content_id)
    answers = calls()
    entries = [told(answers.__getitem__, index) for index in range(len(content_ids))]
    return [entry.get("fault") or [entry["value"]] for entry in entries]


tell("an int id", server.get_cover, 42)
tell("a string id", server.get_cover, "42")
tell("an id with its source", server.get_cover, "ozon:42")
tell("a missing item", server.get_cover, 404)
tell("a bad id", server.get_cover, BAD_ID)
tell("many ids", server.get_covers, [42, "7", 404, BAD_ID])
tell("a long list", server.get_covers, list(range(1000, 1040)))
tell("the methods", server.system.listMethods)
tell("a signature", server.system.methodSignature, "get_cover")
tell("a multicall", multicall, 42, "7", 404)
