"""The origin as the peers see it: the URLs of its pages, and the extraction of the cover."""

import re
import xmlrpc.client
from dataclasses import dataclass

_COVER = re.compile(rb"(/multimedia/audio_cd_covers/(?:\d+)\.jpg)")


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin at ``address``, for example ``http://127.0.0.1:8000``."""

    address: str

    def page_url(self, content_id: int) -> str:
        """Return the URL of an item's page."""
        return f"{self.address}/context/detail/id/{content_id}"

    def extract_cover(self, page: bytes) -> str:
        """Return the URL of the cover on a page.

        Raises:
            xmlrpc.client.Fault: there is none.

        """
        match = _COVER.search(page)
        if match is None:
            raise xmlrpc.client.Fault(404, "no cover on the page")
        return self.address + match[1].decode()
