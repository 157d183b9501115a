"""What an origin answered: a page."""

import msgspec


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page that was read whole: its final URL, its bytes after decompression, the charset of its Content-Type."""

    url: str
    body: bytes
    charset: str | None = None
