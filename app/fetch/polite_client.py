"""The polite client fetches pages, as far as robots.txt, the limits and the health of each host allow.

For each page, the client first checks robots.txt, then acquires a slot of the host, and then requests the page. It does
the same for the target of a redirect. If a redirect leads to another host, the client releases its slot before it waits
for a slot or for robots.txt of the other host. So two hosts that redirect to each other cannot cause a deadlock. A
failed attempt may be retried.
"""

import copy
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from app.concurrency.clock import Clock
from app.concurrency.deadline import Deadline
from app.config.source import Source
from app.domain.errors import LookupFailed, OriginDown, ServiceError, Throttled, TooSlow
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import NOT_MODIFIED, Outcome, outcome_label
from app.fetch.hosts import Hosts, HostSlot
from app.fetch.http_request import authority_of, origin_of
from app.fetch.page_fetcher import Page, PageFetcher, Validators
from app.fetch.request_timer import RequestTimer
from app.fetch.robots import MAX_SIZE, RobotsPolicy

T = TypeVar("T")

#: Called with the target URL of a redirect, before the target is requested. It may wait, and may raise.
Follow = Callable[[str], None]

#: Sends the requests for one page or file. The result None means that the page has not been modified.
Fetch = Callable[[RequestTimer, Follow], Page | None]

#: Called with the outcome of an attempt, and the seconds that its requests took.
Report = Callable[[str, float], None]


class PoliteClient:
    """Fetches pages from origin servers. ``clock`` must be monotonic.

    The observer is notified of each attempt at a page, but not of requests for robots.txt.
    """

    def __init__(
        self,
        *,
        fetcher: PageFetcher,
        hosts: Hosts,
        robots: RobotsPolicy,
        clock: Clock,
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._fetcher = fetcher
        self._hosts = hosts
        self._robots = robots
        self._clock = clock
        self._observer = observer

    def fetch(
        self,
        source: Source,
        url: str,
        deadline: Deadline,
        read: Callable[[Page], T],
        validators: Validators | None = None,
    ) -> T | None:
        """Return the result of ``read`` for the page at ``url``.

        The call waits for slots until ``deadline``. With ``validators`` the requests are conditional, and the result
        None means that the page has not been modified. The slot of the host is held while ``read`` runs, because
        reading a page may take as much time as fetching it.

        Raises:
            LookupFailed: the page could not be fetched (see ``PageFetcher.fetch``).
            Throttled: the host asked to wait, in this response or in an earlier one. In the latter case no request is
                sent.
            OriginFailed: the circuit of the host is open, and no request is sent.
            Blocked: robots.txt disallows the page, and the page is not requested.
            Overloaded: too many requests are waiting for a slot, or too many DNS lookups are in progress.
            QueueTimeout: no slot became free in time.

        """
        self._fetcher.check(source, url)
        if source.robots:
            self._check_robots(source, url, deadline)

        def fetch(timer: RequestTimer, follow: Follow) -> Page | None:
            return self._fetcher.fetch(source, url, timer=timer, validators=validators, follow=follow)

        report = partial(self._observer.page_fetched, source.name)
        return self._fetch_with_retries(source, url, deadline, fetch, read, check_robots=source.robots, report=report)

    def record_throttled(self, source: Source, url: str, error: Throttled) -> None:
        """Record that the host of ``url`` throttles requests, according to the content of the page."""
        self._hosts[authority_of(url)].record_throttled(error, source.error_ttl)

    def _check_robots(self, source: Source, url: str, deadline: Deadline) -> None:
        """Check ``url`` against robots.txt. The file is fetched like a page, within the limits and with retries."""

        def fetch_file(file_url: str) -> bytes:
            def fetch(timer: RequestTimer, follow: Follow) -> Page:
                return self._fetcher.fetch_prefix(source, file_url, timer=timer, size=MAX_SIZE, follow=follow)

            return self._fetch_with_retries(source, file_url, deadline, fetch, lambda page: page.body) or b""

        deadline.waiting_for = f"{origin_of(url)}/robots.txt"  # another lookup may be fetching it
        self._robots.check(url, fetch_file, source.error_ttl)

    def _fetch_with_retries(
        self,
        source: Source,
        url: str,
        deadline: Deadline,
        fetch: Fetch,
        read: Callable[[Page], T],
        *,
        check_robots: bool = False,
        report: Report = lambda _outcome, _seconds: None,
    ) -> T | None:
        """Acquire a slot, fetch the page and read it. Retry if the source and the error allow a retry.

        The requests of all attempts together may take ``source.timeout`` seconds. If all attempts fail, only the last
        failure counts for the health of the host.
        """
        timer = RequestTimer(source.timeout, self._clock)
        retries_left = source.retries
        failed: tuple[_Attempt, Exception] | None = None
        while True:
            with _Attempt(self._hosts, source, deadline, timer) as attempt:
                try:
                    attempt.acquire_slot(url)
                    page = fetch(timer, partial(self._follow, attempt, url, check_robots=check_robots))
                except Exception as error:
                    if attempt.has_sent_request:
                        report(outcome_label(error), attempt.seconds)
                    if retries_left and attempt.may_be_retried(error):
                        retries_left -= 1
                        # The copy has no traceback. A traceback would refer to this frame, and this reference cycle
                        # would stay in memory until the garbage collector runs.
                        failed = attempt, copy.copy(error)
                        continue
                    if attempt.is_queued and failed is not None and isinstance(error, ServiceError):
                        # The retry got no slot, so the previous attempt was the last one.
                        failed_attempt, failure = failed
                        failed_attempt.record_error(failure)
                        raise copy.copy(failure) from None
                    attempt.record_error(error)
                    raise
                attempt.record_success()
                deadline.waiting_for = f"the page of {authority_of(url)} to be parsed"
                return _read(page, read, report, attempt.seconds)

    def _follow(self, attempt: "_Attempt", url: str, target: str, *, check_robots: bool) -> None:
        """Check the target of a redirect against the robots.txt of its origin, and acquire a slot of its host."""
        if check_robots and origin_of(target) == origin_of(url):
            self._robots.check_redirect(target)  # robots.txt of this origin is cached
        elif check_robots:
            if not self._robots.has_rules(target):
                attempt.release_slot()  # fetching robots.txt needs a slot
            self._check_robots(attempt.source, target, attempt.deadline)
        attempt.acquire_slot(target)


class _Attempt:
    """One attempt to fetch a page or a file. It holds at most one slot, which is of the host that it sends requests to.

    ``slot`` is None while the attempt waits for a slot, or for robots.txt of another origin. ``is_queued`` is true
    while the attempt waits for a slot.
    """

    def __init__(self, hosts: Hosts, source: Source, deadline: Deadline, timer: RequestTimer) -> None:
        self.source = source
        self.deadline = deadline
        self.slot: HostSlot | None = None
        self.is_queued = False
        self.has_sent_request = False
        self._hosts = hosts
        self._timer = timer
        self._seconds_left = timer.seconds_left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self.slot is not None:
            self.slot.release()

    @property
    def seconds(self) -> float:
        """The number of seconds that the requests of this attempt have taken."""
        return self._seconds_left - self._timer.seconds_left

    def acquire_slot(self, url: str) -> None:
        """Wait for a slot of the host of ``url``, unless this attempt holds one.

        If the attempt holds a slot of another host, release that slot first.

        Raises:
            ServiceError: one of the errors of ``Host.acquire``.

        """
        host = authority_of(url)
        if self.slot is not None and self.slot.host != host:
            self.release_slot()
        if self.slot is None:
            self.is_queued, self.deadline.waiting_for = True, f"a slot of {host}"
            self.slot = self._hosts[host].acquire(self.source, self.deadline, self._timer.seconds_left)
        self.is_queued, self.deadline.waiting_for = False, f"a response of {host}"
        self.has_sent_request = True

    def release_slot(self) -> None:
        """If this attempt holds a slot, record that the host of the slot responded, and release the slot."""
        if self.slot is not None:
            self.record_success()
            slot, self.slot = self.slot, None
            slot.release()

    def may_be_retried(self, error: Exception) -> bool:
        """Return whether a retry may succeed. ``OriginDown`` is the only error that may be temporary."""
        return isinstance(error, OriginDown) and self.slot is not None and self._timer.seconds_left > 0

    def record_success(self) -> None:
        """Record that the host of the latest request responded."""
        if self.slot is not None:
            self.slot.record_success()

    def record_error(self, error: Exception) -> None:
        """Record what an error says about the host of the slot, if this attempt holds a slot.

        ``TooSlow`` is recorded only if this host took more time than any other host. Otherwise the other hosts may have
        left too little time for this host.
        """
        if self.slot is None or not isinstance(error, LookupFailed):
            return
        if not isinstance(error, TooSlow) or self._timer.slowest_host == self.slot.host:
            self.slot.record_error(error)


def _read(page: Page | None, read: Callable[[Page], T], report: Report, seconds: float) -> T | None:
    """Read the page, return the result of ``read``, and report the outcome of the attempt."""
    if page is None:
        report(NOT_MODIFIED, seconds)
        return None
    try:
        result = read(page)
    except Exception as error:
        report(outcome_label(error), seconds)
        raise
    report(Outcome.FOUND, seconds)
    return result
