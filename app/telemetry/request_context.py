"""The request that is served at present: its id, and what the log is to have of it.

The id stands in the context of its greenlet (PEP 567). ``app.concurrency.greenlets.spawn`` hands it on: what a request
sets off has its id as well, for as long as it runs.
"""

import itertools
import re
import secrets
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

_is_good: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch

#: What the numbers of ids end with, in hex.
_TAILS: Final = tuple(b"%02x" % tail for tail in range(256))

#: The id of the request on whose behalf something is done; empty where there is none.
request_id: Final = ContextVar("request_id", default="")

#: Where a WSGI environ has a dict of what its line in the access log is to have besides.
ACCESS_FIELDS: Final = "covers.access_fields"


def accept_request_id(text: str) -> str:
    """Return an id that a caller gave, or an empty text where it is none: it stands in headers and in the log."""
    return text if _is_good(text) else ""


def generate_request_ids() -> Iterator[bytes]:
    """Yield ids that no other process has: a prefix of the process, and a number.

    The prefix is drawn when the first one is asked for. Workers are forked before that.
    """
    prefix = secrets.token_hex(4)
    for number in itertools.count():
        head = f"{prefix}-{number:x}".encode()
        for tail in _TAILS:  # to write the whole number each time would cost three times as much
            yield head + tail
