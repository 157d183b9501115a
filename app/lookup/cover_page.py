"""Finds the cover of an item: fetches the item's page, checks its response patterns, and applies the rules."""

import functools

from gevent.threadpool import ThreadPool

from app.concurrency.deadline import Deadline
from app.concurrency.greenlets import run_in_thread
from app.concurrency.keyed_lock import KeyedLock
from app.config.source import Source
from app.domain.errors import LookupFailed, NoCover, OriginFailed, Throttled, TooSlow
from app.domain.records import FoundCover, Outcome, error_for_outcome
from app.extract.engine import Extraction, extract
from app.fetch.http_request import authority_of
from app.fetch.page_fetcher import Page, Validators
from app.fetch.polite_client import PoliteClient

#: Pages with more bytes are parsed in threads, because parsing them would block the hub for too long. Parsing takes
#: about 150 microseconds per kilobyte of HTML, and less than 10 per kilobyte of JSON. The slowest regular expressions
#: take about a millisecond in a page of at most this size.
_MAX_INLINE_HTML, _MAX_INLINE_TEXT = 16_384, 65_536

#: The HTML parser runs mostly Python code, which holds the GIL. More threads would only compete for the GIL.
_PARSER_THREADS = 2


class CoverPageReader:
    """Fetches pages of items and extracts their covers.

    Small pages are parsed in the calling greenlet. Large pages are parsed in threads, one page per host at a time,
    because a hostile page takes up to a second to parse. A single host can thus occupy only one of the threads, and the
    other thread stays free for the pages of other hosts.
    """

    def __init__(self, client: PoliteClient) -> None:
        self._client = client
        self._threads = ThreadPool(_PARSER_THREADS)
        self._host_locks = KeyedLock()

    def read_cover(
        self, source: Source, item_id: str, deadline: Deadline, validators: Validators | None = None
    ) -> FoundCover | None:
        """Return the cover on the item's page. The requests wait for slots until ``deadline``.

        With ``validators`` the request is conditional (RFC 9110, 13.1). The result is None if the page has not changed.

        Raises:
            LookupFailed: there is no cover. The class and the text of the exception say why.
            Overloaded: the queue of the host is full, or the request waited in the queue for too long.

        """
        url = source.page_url_for(item_id)
        return self._client.fetch(source, url, deadline, lambda page: self._read(source, url, page), validators)

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
        """Return the error for the outcome of the matched response pattern, and tell the client about throttling."""
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
            TooSlow: other pages of the host took longer to parse than the timeout of the source.

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
