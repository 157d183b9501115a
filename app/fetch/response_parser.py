"""The answer to one request, read from bytes as they come: a strict reader that does no I/O.

llhttp, the parser behind httptools, takes HTTP/1.1 to the letter: bare line feeds, folded lines, lengths that are no
digits, lengths beside a coding, blanks around a chunk's size are all refused. What it takes and this does not: HTTP/0.9
and 2.0, statuses below 100, transfer codings other than ``chunked``, ``chunked`` in HTTP/1.0, and any number of interim
answers, fields and bytes.
"""

import httptools

_MAX_HEAD = 65_536
_MAX_FIELDS = 100
_MAX_INTERIM = 16
_MAX_FRAMING = 131_072
_FRAMING_SHARE = 4


class InvalidResponseError(Exception):
    """This is no answer that can be used. The text says what it is instead."""


def max_framing_bytes(body_bytes: int) -> int:
    """Return how many bytes may be around a body: heads, the framing of its chunks, trailers.

    Chunks of 24 bytes are a quarter more than what they hold.
    """
    return _MAX_FRAMING + body_bytes // _FRAMING_SHARE


class ResponseParser:
    """One final answer; the interim ones before it are passed over.

    From ``is_begun`` on, there are ``status``, ``reason``, ``fields`` by their names in lower case (the values of one
    that came several times as a list, RFC 9110, 5.3), and ``has_length``: whether the end of the body will be known,
    which it must be to tell a whole body from one cut short. From ``is_complete`` on, ``is_reusable`` says whether the
    connection may carry another request.
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
        self._received = 0
        self._body_bytes = 0
        self._interim = 0
        self._field_count = 0
        self._field_bytes = 0
        self._is_interim = False
        self._problem = ""
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Read on. Raises BadAnswerError where the head is broken or too long."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.is_reusable = False
            if self.is_complete:
                self._problem = self._problem or "an answer that is longer than it says"
                self.close()
                return
            self._problem = self._problem or f"{self._what_is_broken()} ({error})"
            if not self.has_headers:
                raise InvalidResponseError(self._problem) from error
            # Else it is the body that is broken, which is for those who want it: a 404 is one all the same.
        self._received += len(data)
        if self.is_complete:
            self.close()
        elif not self.has_headers and self._received > _MAX_HEAD:
            raise InvalidResponseError(f"an answer whose header is longer than {_MAX_HEAD} bytes")
        elif self._received - self._body_bytes > max_framing_bytes(self._body_bytes):
            self._problem = "an answer with more around its body than there may be"

    def close(self) -> None:
        """Read no further. The parser holds this one's methods, so both would live on until the collector comes."""
        self.__dict__.pop("_parser", None)

    def take_body(self) -> bytes:
        """Return what has come of the body since the last time. Raises BadAnswerError where it is broken."""
        if self._problem:
            raise InvalidResponseError(self._problem)
        taken = b"".join(self._body)
        self._body.clear()
        return taken

    def _what_is_broken(self) -> str:
        if not self.status:
            return "an answer that is not HTTP"
        return "a page in broken chunks" if self.has_headers else "an answer with a broken header"

    def _fail(self, text: str) -> InvalidResponseError:
        """Return an exception to leave the parser with, which says nothing of it to its caller."""
        self._problem = text
        return InvalidResponseError(text)

    # What follows is called by httptools.

    def on_message_begin(self) -> None:
        """Begin another message."""
        if self.is_complete:
            raise self._fail("more than one answer")

    def on_status(self, reason: bytes) -> None:
        """Take the reason phrase, or a part of it."""
        self.status = self._parser.get_status_code()
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the header or of the trailer; the latter's are counted and dropped."""
        self._field_count += 1
        self._field_bytes += len(name) + len(value) + 4
        if self._field_count > _MAX_FIELDS:
            raise self._fail(f"an answer with more than {_MAX_FIELDS} header fields")
        if self._field_bytes > _MAX_HEAD:
            raise self._fail(f"an answer whose header is longer than {_MAX_HEAD} bytes")
        if not self.has_headers:
            key, text = name.lower().decode("ascii"), value.rstrip(b" \t").decode("latin-1")
            self.fields[key] = f"{self.fields[key]}, {text}" if key in self.fields else text

    def on_headers_complete(self) -> None:
        """See whether this can be the answer."""
        self.status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise self._fail(f"an answer in HTTP/{version}")
        if not 100 <= self.status <= 999 or self.status == 101:  # noqa: PLR2004 - RFC 9110, 15
            raise self._fail(f"an answer with the status {self.status}, which was not asked for")
        if self.status < 200:  # noqa: PLR2004 - likewise
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                raise self._fail(f"more than {_MAX_INTERIM} interim answers")
            self._is_interim = True
            return
        coding = self.fields.get("transfer-encoding", "").lower()
        is_coded = "transfer-encoding" in self.fields
        if is_coded and (coding != "chunked" or version == "1.0"):
            raise self._fail(f"an answer in a transfer coding that was not asked for: {coding[:40]!r}")
        self.has_length = is_coded or self.status in {204, 304} or "content-length" in self.fields
        self.has_headers = True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body.append(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """End the message."""
        if not self._is_interim:
            self.is_complete = True
            self.is_reusable = self._parser.should_keep_alive()
            return
        self._is_interim = False
        self.status, self.reason = 0, b""
        self.fields.clear()
