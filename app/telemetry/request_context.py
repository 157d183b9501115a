"""The request context: the id of the current request.

The id is a context variable (PEP 567), so each greenlet has its own. ``app.concurrency.greenlets.spawn`` copies the
context into the new greenlet. Work that a request starts therefore has the id of the request, even after the response.
"""

import itertools
import re
import secrets
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

_match_request_id: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch

#: The last two hex digits of a generated id.
_LAST_DIGITS: Final = tuple(b"%02x" % number for number in range(256))

#: The id of the current request, or "" outside a request.
request_id: Final = ContextVar("request_id", default="")

#: The key of the WSGI environ under which a dict holds further fields for the request's line in the access log.
ACCESS_FIELDS: Final = "covers.access_fields"


def accept_request_id(text: str) -> str:
    """Return a request id from a client, or "" if the id is invalid.

    The id is copied into a response header and into the log, so only harmless characters are valid.
    """
    return text if _match_request_id(text) else ""


def generate_request_ids() -> Iterator[bytes]:
    """Yield ids that no other process generates. Each consists of a random prefix and a hexadecimal number.

    The prefix is generated with the first id. By then the worker has been forked, so each worker has its own prefix.
    """
    prefix = secrets.token_hex(4)
    for number in itertools.count():
        leading = f"{prefix}-{number:x}".encode()
        for digits in _LAST_DIGITS:  # formatting the whole number each time takes three times as long
            yield leading + digits
