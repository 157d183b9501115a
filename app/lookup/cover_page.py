"""The page of an item: fetched from its origin, classified by response patterns, and searched for a cover by rules."""

import functools

from gevent.threadpool import ThreadPool

from app.concurrency.greenlets import run_in_thread
from app.concurrency.keyed_lock import KeyedLock
from app.config.source import Source
from app.domain.errors import LookupFailed, NoCover, OriginFailed, Throttled, TooSlow
from app.domain.records import FoundCover, Outcome, error_for_outcome
from app.extract.engine import Extraction, extract
from app.fetch.http_request import authority_of
from app.fetch.page_fetcher import Page, Validators
from app.fetch.polite_client import PoliteClient

#: Pages of more bytes are parsed in threads, since parsing them would block the hub for too long. HTML takes some 150
#: microseconds per kilobyte, JSON less than ten. The worst regular expressions take a millisecond in the smaller pages.
_MAX_INLINE_HTML, _MAX_INLINE_TEXT = 16_384, 65_536

#: Parsing HTML runs mostly in Python and so holds the GIL: more threads would only compete for it.
_PARSER_THREADS = 2


class CoverPageReader:
    """Fetches pages of items and extracts their covers.

    Small pages are parsed in the calling greenlet, large ones in threads, one page per host at a time. A hostile page
    takes up to a second to parse. So a single origin can occupy only one of the threads with such pages, and the other
    thread stays free for the pages of other origins.
    """

    def __init__(self, client: PoliteClient) -> None:
        self._client = client
        self._threads = ThreadPool(_PARSER_THREADS)
        self._host_locks = KeyedLock()

    def read_cover(
        self, source: Source, item_id: str, max_wait: float, validators: Validators | None = None
    ) -> FoundCover | None:
        """Return the cover on the item's page. The request waits in the host's queue for at most ``max_wait`` seconds.

        With ``validators`` the request is conditional (RFC 9110, 13.1), and None means that the page has not changed.

        Raises:
            LookupFailed: there is no cover; the class and the text say why.
            Overloaded: the queue of the item's host is full, or the wait in it too long.

        """
        url = source.page_url_for(item_id)
        return self._client.fetch(source, url, max_wait, lambda page: self._read(source, url, page), validators)

    def _read(self, source: Source, url: str, page: Page) -> FoundCover:
        extraction = self._extract(source, page)
        if extraction.outcome is not None:
            raise self._classified_error(source, url, page, extraction.outcome, extraction.matched_pattern)
        if not extraction.url:
            reasons = "; ".join(extraction.misses)
            if extraction.is_malformed:
                raise OriginFailed(f"the page is not of the expected format: {reasons}", status=page.status)
            raise NoCover(f"no cover on the page: {reasons}", extraction.misses, status=page.status)
        return FoundCover(
            url=extraction.url,
            rule=extraction.rule,
            status=page.status,
            final_url=page.url if page.url != url else "",
            misses=extraction.misses,
            etag=page.validators.etag,
            last_modified=page.validators.last_modified,
        )

    def _classified_error(
        self, source: Source, url: str, page: Page, outcome: Outcome, matched_pattern: str
    ) -> LookupFailed:
        """Return the error that the matched response pattern stands for."""
        text = f"{authority_of(page.url)} answered {page.status} with a page that matches {matched_pattern}"
        if outcome is Outcome.NO_SUCH_ITEM:
            text = f"no such item: {text}"
        error = error_for_outcome(outcome, text, status=page.status)
        if isinstance(error, Throttled):
            self._client.record_throttled(source, url, error)
        return error

    def _extract(self, source: Source, page: Page) -> Extraction:
        """Apply the source's response patterns and rules to the page.

        Raises:
            TooSlow: the parsing of other pages of the host has taken longer than the source's timeout.

        """
        run = functools.partial(
            extract,
            page.body,
            rules=source.extract,
            page_url=page.url,
            charset=page.charset,
            image_url=source.image_url,
            https=source.https,
            reject=source.reject,
            response_patterns=source.response_patterns,
        )
        if len(page.body) <= (_MAX_INLINE_HTML if source.needs_html_parser else _MAX_INLINE_TEXT):
            return run()
        host = authority_of(page.url)
        try:
            with self._host_locks.hold(host, source.timeout):
                return run_in_thread(run, self._threads)
        except TimeoutError:
            raise TooSlow(f"pages of {host} take too long to parse", status=page.status) from None
