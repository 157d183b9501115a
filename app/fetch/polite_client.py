"""The polite client: fetches pages within what robots.txt, the host limiter and the health of each host allow.

For a page it does this, in order: check the health of the host, check robots.txt, acquire a slot of the host, fetch the
page. A redirect is followed only after the same checks. A redirect to another host releases the slot before anything of
the next host is waited for, so two hosts that redirect to each other cannot block each other. A failed attempt is
retried.
"""

import copy
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from app.concurrency.deadline import Deadline
from app.config.source import Source
from app.domain.errors import LookupFailed, OriginError, ServiceError
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import NOT_MODIFIED, Outcome, outcome_label
from app.fetch.host_health import HostHealth
from app.fetch.host_limiter import HostLimiter
from app.fetch.http_request import authority_of, origin_of
from app.fetch.page_fetcher import Page, PageFetcher, Validators
from app.fetch.retries import RetryBudget
from app.fetch.robots import MAX_SIZE, RobotsPolicy

T = TypeVar("T")

#: Called with the target URL of a redirect; may raise.
CheckRedirect = Callable[[str], None]

#: Sends one request, with a timeout in seconds.
Fetch = Callable[[float, CheckRedirect], Page | None]

#: Called with the outcome of an attempt, and the seconds that the fetch took.
Report = Callable[[str, float], None]


class PoliteClient:
    """Fetches pages from origin servers. ``clock`` must be monotonic.

    The observer is notified of each attempt at a page, but not of requests for robots.txt.
    """

    def __init__(
        self,
        *,
        fetcher: PageFetcher,
        limiter: HostLimiter,
        host_health: HostHealth,
        robots: RobotsPolicy,
        clock: Callable[[], float],
        observer: Observer = NULL_OBSERVER,
    ) -> None:
        self._fetcher = fetcher
        self._limiter = limiter
        self._host_health = host_health
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

        The call waits for slots until ``deadline``. With ``validators`` the request is conditional; None means that the
        page has not been modified. The slot of the host is held while ``read`` runs, since reading a page takes this
        service as much time as fetching it.

        Raises:
            LookupFailed: the page could not be fetched; see ``PageFetcher.fetch``.
            Throttled: the host asked to wait; no request is sent.
            OriginFailed: the circuit of the host is open; no request is sent.
            Blocked: robots.txt disallows the page; it is not requested.
            Overloaded: too many requests are waiting for a slot, or (QueueTimeout) none became free in time.

        """
        self._fetcher.check(source, url)
        if source.robots:
            self._check_robots(source, url, deadline)

        def fetch(timeout: float, check_redirect: CheckRedirect) -> Page | None:
            return self._fetcher.fetch(
                source, url, timeout=timeout, validators=validators, check_redirect=check_redirect
            )

        return self._fetch_with_retries(
            source,
            url,
            deadline,
            fetch,
            read,
            check_redirect=partial(self._check_redirect, source, url, deadline),
            report=partial(self._observer.page_fetched, source.name),
        )

    def record_throttled(self, source: Source, url: str, error: OriginError) -> None:
        """Record that the host of ``url`` throttles requests, as the content of its page says."""
        self._host_health.record_error(authority_of(url), error, source.error_ttl, was_trial=False)

    def _check_redirect(self, source: Source, url: str, deadline: Deadline, target: str) -> None:
        """Check the target of a redirect against the robots.txt of its origin."""
        if not source.robots:
            return
        if origin_of(target) == origin_of(url):
            self._robots.check_redirect(target)  # the rules of this origin are cached
        else:
            self._check_robots(source, target, deadline)

    def _check_robots(self, source: Source, url: str, deadline: Deadline) -> None:
        """Check ``url`` against robots.txt, which is fetched like a page: within the limits, and with retries."""

        def fetch_file(file_url: str) -> bytes:
            def fetch(timeout: float, check_redirect: CheckRedirect) -> Page:
                return self._fetcher.fetch_prefix(
                    source, file_url, timeout=timeout, size=MAX_SIZE, check_redirect=check_redirect
                )

            return self._fetch_with_retries(source, file_url, deadline, fetch, lambda page: page.body) or b""

        self._robots.check(url, fetch_file, source.error_ttl)

    def _fetch_with_retries(
        self,
        source: Source,
        url: str,
        deadline: Deadline,
        fetch: Fetch,
        read: Callable[[Page], T],
        *,
        check_redirect: CheckRedirect = lambda _: None,
        report: Report = lambda _outcome, _seconds: None,
    ) -> T | None:
        """Acquire a slot, fetch and read the page; retry if the source and the error allow it."""
        host = authority_of(url)
        self._host_health.check(host)  # checked again with a slot; this check avoids a useless wait for one
        budget = RetryBudget(source)
        failed_host = ""
        while True:
            with _Attempt(source, self._limiter, self._host_health, deadline, self._clock) as attempt:
                try:
                    attempt.move_to(host, budget.seconds_left)
                except ServiceError:
                    if budget.failure is None:
                        raise
                    # There is no slot for a retry, so the previous attempt was the last one.
                    self._host_health.record_error(failed_host, budget.failure, source.error_ttl, was_trial=False)
                    raise copy.copy(budget.failure) from None

                def follow(target: str, attempt: _Attempt = attempt) -> None:
                    attempt.leave(authority_of(target))
                    check_redirect(target)
                    attempt.move_to(authority_of(target), budget.seconds_left - attempt.seconds)

                try:
                    page = fetch(budget.seconds_left, follow)
                except Exception as error:
                    attempt.stop()
                    report(outcome_label(error), attempt.seconds)
                    if attempt.host and not attempt.is_trial and budget.allows_retry(error, attempt.seconds):
                        failed_host = attempt.host
                        continue
                    if isinstance(error, LookupFailed):
                        attempt.record_result(error)
                    raise
                attempt.stop()
                attempt.record_result(None)
                return _read(page, read, report, attempt.seconds)


class _Attempt:
    """One attempt at a page or file. It holds a slot of one host at a time: that of the request in progress.

    ``host`` is that host, empty while the attempt waits for the next one. ``seconds`` is the time that its requests
    took, without the time in queues. ``is_trial`` says whether the request is the trial of a half-open circuit.
    """

    def __init__(
        self,
        source: Source,
        limiter: HostLimiter,
        host_health: HostHealth,
        deadline: Deadline,
        clock: Callable[[], float],
    ) -> None:
        self.host = ""
        self.seconds = 0.0
        self.is_trial = False
        self._source = source
        self._limiter = limiter
        self._host_health = host_health
        self._deadline = deadline
        self._clock = clock
        self._started_at = 0.0
        self._release: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._release_slot()

    def move_to(self, host: str, seconds: float) -> None:
        """Acquire a slot of the host, unless this attempt holds one, check that the host is available, and start.

        ``seconds`` is how long the request may take. Raises as ``HostLimiter.acquire`` and ``HostHealth.admit`` do.
        """
        if self._release is None:
            self._deadline.waiting_for = f"a slot of {host}"
            self._release = self._limiter.acquire(
                host,
                concurrency=self._source.concurrency,
                delay=self._source.delay,
                deadline=self._deadline,
                check=partial(self._host_health.check, host),
            )
            self.is_trial = self._host_health.admit(host, seconds)
        self.host = host
        self._deadline.waiting_for = f"a response of {host}"
        self._started_at = self._clock()

    def leave(self, target: str) -> None:
        """Stop at a redirect to the host ``target``: unless it is the same host, release the slot."""
        self.stop()
        if target != self.host:
            self.record_result(None)
            self._release_slot()
            self.host, self.is_trial = "", False

    def stop(self) -> None:
        """Count the time of the request in progress."""
        if self.host:
            self.seconds += self._clock() - self._started_at
            self._started_at = self._clock()

    def record_result(self, error: LookupFailed | None) -> None:
        """Record that the host of the latest request responded, or its error."""
        if not self.host:
            return  # the attempt ended before it sent a request to the next host
        if error is None:
            self._host_health.record_success(self.host)
        else:
            self._host_health.record_error(self.host, error, self._source.error_ttl, was_trial=self.is_trial)

    def _release_slot(self) -> None:
        if self._release is not None:
            release, self._release = self._release, None
            release()


def _read(page: Page | None, read: Callable[[Page], T], report: Report, seconds: float) -> T | None:
    """Return the result of ``read``, and report the outcome of the attempt."""
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
