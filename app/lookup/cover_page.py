"""An inquiry: the page of one item, fetched at its origin, and what the rules of its source make of it."""

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

#: Pages of more bytes are read in threads: parsing them would keep the hub for too long. HTML takes some
#: 150 microseconds a kilobyte, JSON less than ten; a perverse regular expression takes a millisecond.
_INLINE_HTML, _INLINE_TEXT = 16_384, 65_536

#: More would only take turns: parsing HTML is Python for the most part.
_THREADS = 2


class CoverPageReader:
    """Asks origins for covers."""

    def __init__(self, client: PoliteClient) -> None:
        self._client = client
        self._readers = _Readers()

    def read_cover(
        self, source: Source, item_id: str, max_wait: float, validators: Validators | None = None
    ) -> FoundCover | None:
        """Return what the item's page shows, after at most ``patience`` seconds of waiting for one's turn.

        With ``validators`` the page is asked for on the condition that it has changed; None says that it has not.

        Raises:
            LookupFailed: why there is no cover.
            Overloaded: too much is waiting for the item's origin.

        """
        url = source.page_url_for(item_id)
        return self._client.fetch(source, url, max_wait, lambda page: self._read(source, url, page), validators)

    def _read(self, source: Source, url: str, page: Page) -> FoundCover:
        extraction = self._readers.extract(source, page)
        if extraction.outcome is not None:
            raise self._failure(source, url, page, extraction.outcome, extraction.matched_pattern)
        if not extraction.url:
            reasons = "; ".join(extraction.misses)
            if extraction.is_malformed:
                raise OriginFailed(f"no page of the kind that its source has: {reasons}", status=page.status)
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

    def _failure(self, source: Source, url: str, page: Page, outcome: Outcome, sign: str) -> LookupFailed:
        """Return what a sign on the page stands for."""
        text = f"{authority_of(page.url)} answered {page.status}, a page with the sign {sign}"
        if outcome is Outcome.NO_SUCH_ITEM:
            text = f"no such item: {text}"
        error = error_for_outcome(outcome, text, status=page.status)
        if isinstance(error, Throttled):
            self._client.record_throttled(source, url, error)
        return error


class _Readers:
    """Reads pages: small ones at once, big ones in threads of their own, one of each host at a time.

    A hostile page takes up to a second. So however many of them an origin has, they keep one thread, and the others'
    pages have the other.
    """

    def __init__(self) -> None:
        self._threads = ThreadPool(_THREADS)
        self._turns = KeyedLock()

    def extract(self, source: Source, page: Page) -> Extraction:
        """Return what the source's rules make of the page.

        Raises:
            TooSlow: others of its host have been read for longer than the source's timeout.

        """
        run = functools.partial(
            extract,
            page.body,
            rules=source.extract,
            page_url=page.url,
            charset=page.charset,
            image_url=source.image_url,
            response_patterns=source.response_patterns,
        )
        if len(page.body) <= (_INLINE_HTML if source.needs_html_parser else _INLINE_TEXT):
            return run()
        host = authority_of(page.url)
        try:
            with self._turns.hold(host, source.timeout):
                return run_in_thread(run, self._threads)
        except TimeoutError:
            raise TooSlow(f"{host} has pages that take too long to be read", status=page.status) from None
