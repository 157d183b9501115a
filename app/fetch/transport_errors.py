"""What goes wrong below requests, as what requests would raise: translated here, and nowhere else."""

import ssl
from types import MappingProxyType
from typing import Final

from requests import ConnectionError as NoConnectionError
from requests import ReadTimeout
from requests.exceptions import ConnectTimeout, InvalidURL, RequestException, SSLError

from app.fetch.connection_pool import AddressRefusedError, DialTimeoutError, TooManyBytesError
from app.fetch.decompression import BadBodyError
from app.fetch.response_parser import BadAnswerError


class BadAnswer(RequestException):
    """The answer breaks HTTP or a limit: another try would bring the same."""


class AddressRefused(InvalidURL):
    """The host is at no address that may be dialled."""


#: All that comes from below and is no bug.
FOREIGN: Final = (OSError, BadAnswerError, BadBodyError, AddressRefusedError, TooManyBytesError)

_SILENT: Final = MappingProxyType(
    {
        AddressRefusedError: (AddressRefused, "it has a private address, which private_network does not allow"),
        TooManyBytesError: (BadAnswer, "an answer with more around its body than there may be"),
        DialTimeoutError: (ConnectTimeout, "no connection in time"),
    }
)


def translated(error: Exception) -> RequestException:
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
            return BadAnswer(str(error))
