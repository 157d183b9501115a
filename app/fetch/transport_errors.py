"""The mapping of low-level errors to the exceptions of requests. No other module maps them."""

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


#: All exceptions that the modules below the transport raise. Any other exception is a bug.
LOW_LEVEL_ERRORS: Final = (
    OSError,
    InvalidResponseError,
    InvalidBodyError,
    AddressNotAllowedError,
    ByteBudgetExceededError,
)

_FIXED_MESSAGES: Final = MappingProxyType(
    {
        AddressNotAllowedError: (AddressNotAllowed, "it has a private address, which private_network does not allow"),
        ByteBudgetExceededError: (InvalidResponse, "the server sent more bytes than the size limit allows"),
        ConnectTimeoutError: (ConnectTimeout, "the connection timed out"),
    }
)


def to_requests_error(error: Exception) -> RequestException:
    """Return the exception of requests for one of ``LOW_LEVEL_ERRORS``, with a message of one line."""
    if type(error) in _FIXED_MESSAGES:
        kind, text = _FIXED_MESSAGES[type(error)]
        return kind(text)
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
