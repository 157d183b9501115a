"""What goes wrong below requests, as what requests would raise: translated here, and nowhere else."""

import ssl
from types import MappingProxyType
from typing import Final

from requests import ConnectionError as NoConnectionError
from requests import ReadTimeout
from requests.exceptions import ConnectTimeout, InvalidURL, RequestException, SSLError

from app.fetch.connection_pool import AddressNotAllowedError, ByteBudgetExceededError, ConnectTimeoutError
from app.fetch.decompression import InvalidBodyError
from app.fetch.response_parser import InvalidResponseError


class InvalidResponse(RequestException):
    """The answer breaks HTTP or a limit: another try would bring the same."""


class AddressNotAllowed(InvalidURL):
    """The host is at no address that may be dialled."""


#: All that comes from below and is no bug.
LOW_LEVEL_ERRORS: Final = (
    OSError,
    InvalidResponseError,
    InvalidBodyError,
    AddressNotAllowedError,
    ByteBudgetExceededError,
)

_SILENT: Final = MappingProxyType(
    {
        AddressNotAllowedError: (AddressNotAllowed, "it has a private address, which private_network does not allow"),
        ByteBudgetExceededError: (InvalidResponse, "an answer with more around its body than there may be"),
        ConnectTimeoutError: (ConnectTimeout, "no connection in time"),
    }
)


def to_requests_error(error: Exception) -> RequestException:
    """Return the exception of requests for one of ``FOREIGN``, with one line that needs no other."""
    if type(error) in _SILENT:
        kind, text = _SILENT[type(error)]
        return kind(text)
    match error:
        case ssl.SSLCertVerificationError():
            return SSLError(f"its certificate is not trusted: {error.verify_message}")
        case ssl.SSLError():
            return SSLError(f"TLS fails: {(error.reason or str(error)).replace('_', ' ').lower()}")
        case TimeoutError():
            return ReadTimeout("nothing came for too long")
        case OSError():
            return NoConnectionError(error.strerror or str(error) or type(error).__name__)
        case _:
            return InvalidResponse(str(error))
