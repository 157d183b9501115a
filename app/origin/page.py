"""What an origin answered: a page, and by what it can be asked whether it has changed."""

import msgspec


class Validators(msgspec.Struct, frozen=True, kw_only=True):
    """A page's ETag and Last-Modified (RFC 9110, 8.8), as they came; empty where the origin gave none."""

    etag: str = ""
    last_modified: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page that was read whole: its final URL, its bytes after decompression, the charset of its Content-Type."""

    url: str
    body: bytes
    status: int = 200
    charset: str | None = None
    validators: Validators = Validators()
