"""The polite client: fetches pages within what robots.txt, the host limiter and the health of each host allow.

For a page it does this, in order: check the health of the host, check robots.txt, acquire a slot of the host, fetch the
page. A redirect is followed only after the same checks, with a slot of its host. A failed attempt is retried.
"""

import copy
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

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
        max_wait: float,
        read: Callable[[Page], T],
        validators: Validators | None = None,
    ) -> T | None:
        """Return the result of ``read`` for the page at ``url``.

        The call waits for slots for at most ``max_wait`` seconds. With ``validators`` the request is conditional; None
        means that the page has not been modified. The slot of the host is held while ``read`` runs, since reading a
        page takes this service as much time as fetching it.

        Raises:
            LookupFailed: the page could not be fetched; see ``PageFetcher.fetch``.
            Throttled: the host asked to wait; no request is sent.
            OriginFailed: the circuit of the host is open; no request is sent.
            Blocked: robots.txt disallows the page; it is not requested.
            Overloaded: no slot became free in time, or too many requests are waiting for one.

        """
        deadline = self._clock() + max_wait
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

    def _check_redirect(self, source: Source, url: str, deadline: float, target: str) -> None:
        """Check the target of a redirect against the robots.txt of its origin."""
        if not source.robots:
            return
        if origin_of(target) == origin_of(url):
            self._robots.check_redirect(target)  # the rules of this origin are cached
        else:
            self._check_robots(source, target, deadline)

    def _check_robots(self, source: Source, url: str, deadline: float) -> None:
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
        deadline: float,
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
        last_host = ""
        while True:
            with _Attempt(source, self._limiter, self._host_health) as attempt:
                try:
                    attempt.acquire_slot(host, deadline, budget.seconds_left)
                except ServiceError:
                    if budget.failure is None:
                        raise
                    # There is no slot for a retry, so the previous attempt was the last one.
                    self._host_health.record_error(last_host, budget.failure, source.error_ttl, was_trial=False)
                    raise copy.copy(budget.failure) from None
                started_at = self._clock()
                follow = partial(
                    self._follow_redirect, attempt, check_redirect, min(deadline, started_at + budget.seconds_left)
                )
                try:
                    page = fetch(budget.seconds_left, follow)
                except Exception as error:
                    seconds = self._clock() - started_at
                    report(outcome_label(error), seconds)
                    if not attempt.is_trial and budget.allows_retry(error, seconds):
                        last_host = attempt.last_host
                        continue
                    if isinstance(error, LookupFailed):
                        attempt.record_result(error)
                    raise
                seconds = self._clock() - started_at
                attempt.record_result(None)
                return _read(page, read, report, seconds)

    def _follow_redirect(
        self, attempt: "_Attempt", check_redirect: CheckRedirect, deadline: float, target: str
    ) -> None:
        """Check that a redirect may be followed, and acquire a slot of its host."""
        try:
            check_redirect(target)
            attempt.acquire_slot(authority_of(target), deadline, deadline - self._clock())
        except ServiceError:
            attempt.is_redirect_refused = True
            raise


class _Attempt:
    """One attempt at a page or file: the hosts that get requests, and the slots that it holds until its end.

    ``last_host`` is the host of the latest request. ``is_redirect_refused`` is set if the attempt ended because a
    redirect could not be followed, in which case its error says nothing about the health of a host.
    """

    def __init__(self, source: Source, limiter: HostLimiter, host_health: HostHealth) -> None:
        self.last_host = ""
        self.is_redirect_refused = False
        self._source = source
        self._limiter = limiter
        self._host_health = host_health
        self._trials: dict[str, bool] = {}
        self._slots: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        while self._slots:
            self._slots.pop()()

    @property
    def is_trial(self) -> bool:
        """Whether one of the requests is the trial of a half-open circuit."""
        return any(self._trials.values())

    def acquire_slot(self, host: str, deadline: float, seconds: float) -> None:
        """Acquire a slot of the host, unless this attempt holds one, and check that the host is available.

        ``seconds`` is how long the request may take. Raises as ``HostLimiter.acquire`` and ``HostHealth.admit`` do.
        """
        if host not in self._trials:
            release = self._limiter.acquire(
                host,
                concurrency=self._source.concurrency,
                delay=self._source.delay,
                deadline=deadline,
                check=partial(self._host_health.check, host),
            )
            self._slots.append(release)
            self._trials[host] = self._host_health.admit(host, seconds)
        self.last_host = host

    def record_result(self, error: LookupFailed | None) -> None:
        """Record that the hosts responded, or the error of the last one."""
        for host, is_trial in self._trials.items():
            if error is None or host != self.last_host or self.is_redirect_refused:
                self._host_health.record_success(host)
            else:
                self._host_health.record_error(host, error, self._source.error_ttl, was_trial=is_trial)


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
