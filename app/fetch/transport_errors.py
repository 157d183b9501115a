"""Maps low-level errors to the exceptions of the requests library. Other modules call ``to_requests_error``."""

import ssl
from types import MappingProxyType
from typing import Final

from requests import ConnectionError as RequestsConnectionError
from requests import ReadTimeout
from requests.exceptions import ConnectTimeout, InvalidURL, RequestException, SSLError

from app.fetch.connection import ByteBudgetExceededError
from app.fetch.connection_pool import AddressNotAllowedError, ConnectTimeoutError
from app.fetch.decompression import InvalidBodyError
from app.fetch.response_parser import InvalidResponseError


class InvalidResponse(RequestException):
    """The response violates HTTP or exceeds a limit. A retry would have the same result."""


class AddressNotAllowed(InvalidURL):
    """The host has no address to which connections are allowed."""


#: All exceptions of the modules below the transport, except ``Overloaded``, which is a domain error already.
LOW_LEVEL_ERRORS: Final = (
    OSError,  # includes ssl.SSLError, TimeoutError and ConnectTimeoutError
    InvalidResponseError,
    InvalidBodyError,
    AddressNotAllowedError,
    ByteBudgetExceededError,
)

_FIXED_REPLACEMENTS: Final = MappingProxyType(
    {
        AddressNotAllowedError: (
            AddressNotAllowed,
            "it has only addresses that are not public, and private_network is not set",
        ),
        ByteBudgetExceededError: (InvalidResponse, "the server sent more bytes than the size limit allows"),
        ConnectTimeoutError: (ConnectTimeout, "the connection timed out"),
    }
)


def to_requests_error(error: Exception) -> RequestException:
    """Convert one of ``LOW_LEVEL_ERRORS`` to an exception of the requests library. Its message is a single line."""
    if type(error) in _FIXED_REPLACEMENTS:
        error_class, text = _FIXED_REPLACEMENTS[type(error)]
        return error_class(text)
    match error:
        case ssl.SSLCertVerificationError():
            return SSLError(f"its certificate is not trusted: {error.verify_message}")
        case ssl.SSLError():
            return SSLError(f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}")
        case TimeoutError():
            return ReadTimeout("the server sent nothing within the timeout")
        case OSError():
            return RequestsConnectionError(error.strerror or str(error) or type(error).__name__)
        case _:
            return InvalidResponse(str(error))
