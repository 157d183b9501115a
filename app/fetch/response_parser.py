"""A strict parser for the response to one request. It takes bytes as they arrive, and does no I/O.

It is based on llhttp, the parser of httptools, which follows HTTP/1.1 strictly. llhttp rejects bare line feeds, folded
lines, lengths that are not digits, a length together with a transfer coding, and whitespace around the size of a chunk.
This module also rejects some responses that llhttp accepts: HTTP/0.9 and 2.0, statuses below 100, transfer codings
other than ``chunked``, ``chunked`` in HTTP/1.0, and too many interim responses, fields or bytes.
"""

import httptools

_MAX_HEADER = 65_536  # bytes
_MAX_FIELDS = 100
_MAX_INTERIM_RESPONSES = 16
_MAX_FRAMING = 131_072  # bytes
_BODY_BYTES_PER_FRAMING_BYTE = 4


class InvalidResponseError(Exception):
    """A response cannot be used. The message says why."""


def max_framing_bytes(body_bytes: int) -> int:
    """Return how many bytes a response may have besides ``body_bytes`` of body: header, chunk framing, trailer.

    The framing may have a quarter of the size of the body, as with chunks of 24 bytes.
    """
    return _MAX_FRAMING + body_bytes // _BODY_BYTES_PER_FRAMING_BYTE


class ResponseParser:
    """Parses one final response; interim responses (1xx) before it are skipped.

    Once ``has_headers`` is true, these are set: ``status``; ``reason``; ``fields`` by lower-case name, the values of a
    repeated field joined by commas (RFC 9110, 5.3); and ``has_length``, which says whether the end of the body is
    delimited. If the end is not delimited, a truncated body cannot be detected. Once ``is_complete`` is true,
    ``is_reusable`` says whether the connection may carry another request.
    """

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.fields: dict[str, str] = {}
        self.has_headers = False
        self.is_complete = False
        self.is_reusable = False
        self.has_length = False
        self._body: list[bytes] = []
        self._received_bytes = 0
        self._body_bytes = 0
        self._interim_count = 0
        self._field_count = 0
        self._field_bytes = 0
        self._is_interim = False
        self._error = ""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Parse the next bytes.

        Raises:
            InvalidResponseError: the header is invalid or too long. Errors in the body are raised by ``take_body``.

        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.is_reusable = False
            if self.is_complete:
                self._error = self._error or "the response is longer than its declared length"
                self.close()
                return
            self._error = self._error or f"{self._describe_invalid_part()} ({error})"
            if not self.has_headers:
                raise InvalidResponseError(self._error) from error
            # The body is invalid. That matters only to a caller that reads it; for a 404, the status is enough.
        self._received_bytes += len(data)
        if self.is_complete:
            self.close()
        elif not self.has_headers and self._received_bytes > _MAX_HEADER:
            raise InvalidResponseError(f"the response header is longer than {_MAX_HEADER} bytes")
        elif self._received_bytes - self._body_bytes > (limit := max_framing_bytes(self._body_bytes)):
            self._error = f"the response has more than {limit} bytes of headers and framing"

    def close(self) -> None:
        """Stop parsing. This breaks the reference cycle of this parser and the parser of httptools."""
        self.__dict__.pop("_parser", None)

    def take_body(self) -> bytes:
        """Return the part of the body that arrived since the last call. Raises InvalidResponseError."""
        if self._error:
            raise InvalidResponseError(self._error)
        data = b"".join(self._body)
        self._body.clear()
        return data

    def _describe_invalid_part(self) -> str:
        if not self.status:
            return "the response is not HTTP"
        return "the response has invalid chunks" if self.has_headers else "the response has an invalid header"

    def _fail(self, text: str) -> InvalidResponseError:
        """Return an exception for a callback to raise. The text is also stored here, because httptools drops it."""
        self._error = text
        return InvalidResponseError(text)

    # Callbacks of httptools

    def on_message_begin(self) -> None:
        """Handle the start of a response."""
        if self.is_complete:
            raise self._fail("the server sent more than one response")

    def on_status(self, reason: bytes) -> None:
        """Handle a part of the reason phrase."""
        self.status = self._parser.get_status_code()
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a field of the header or of the trailer. Trailer fields are counted and dropped."""
        self._field_count += 1
        self._field_bytes += len(name) + len(value) + 4
        if self._field_count > _MAX_FIELDS:
            raise self._fail(f"the response has more than {_MAX_FIELDS} header fields")
        if self._field_bytes > _MAX_HEADER:
            raise self._fail(f"the response header is longer than {_MAX_HEADER} bytes")
        if not self.has_headers:
            key, text = name.lower().decode("ascii"), value.rstrip(b" \t").decode("latin-1")
            self.fields[key] = f"{self.fields[key]}, {text}" if key in self.fields else text

    def on_headers_complete(self) -> None:
        """Handle the end of a header: check the version, the status and the transfer coding."""
        self.status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise self._fail(f"the response has the unsupported version HTTP/{version}")
        if not 100 <= self.status <= 999 or self.status == 101:  # noqa: PLR2004 - RFC 9110, 15
            raise self._fail(f"the response has the unexpected status {self.status}")
        if self.status < 200:  # noqa: PLR2004 - RFC 9110, 15.2
            self._interim_count += 1
            if self._interim_count > _MAX_INTERIM_RESPONSES:
                raise self._fail(f"the server sent more than {_MAX_INTERIM_RESPONSES} interim responses")
            self._is_interim = True
            return
        coding = self.fields.get("transfer-encoding", "").lower()
        has_coding = "transfer-encoding" in self.fields
        if has_coding and (coding != "chunked" or version == "1.0"):
            raise self._fail(f"the response has an unsupported transfer coding: {coding[:40]!r}")
        self.has_length = has_coding or self.status in {204, 304} or "content-length" in self.fields
        self.has_headers = True

    def on_body(self, body: bytes) -> None:
        """Handle a part of the body."""
        self._body.append(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """Handle the end of a response."""
        if not self._is_interim:
            self.is_complete = True
            self.is_reusable = self._parser.should_keep_alive()
            return
        self._is_interim = False
        self.status, self.reason = 0, b""
        self.fields.clear()
