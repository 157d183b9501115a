"""A visit to an origin, with manners: robots.txt is asked, the gate passed, and what the host answers remembered.

So it is for each host that a redirect leads to: it has its own gate, and its own say in whether it is asked.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from app.config.source import Source
from app.domain.errors import LookupFailed, OriginDown, OriginError, ServiceError
from app.domain.events import NULL_OBSERVER, Observer
from app.domain.records import NOT_MODIFIED, Outcome, outcome_label
from app.fetch.host_health import HostHealth
from app.fetch.host_limiter import HostLimiter
from app.fetch.http_request import authority_of, origin_of
from app.fetch.page_fetcher import Page, PageFetcher, Validators
from app.fetch.robots import MAX_SIZE, RobotsPolicy

T = TypeVar("T")

#: Is called with where a redirect leads, and may raise.
CheckRedirect = Callable[[str], None]

#: Asks once, within so many seconds.
Fetch = Callable[[float, CheckRedirect], Page | None]


class PoliteClient:
    """Visits origins. ``clock`` must not jump. The observer is told of each try at a page, of robots.txt not."""

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
        self._gate = limiter
        self._hosts = host_health
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
        """Return what ``read`` makes of the page at ``url``, after at most ``patience`` seconds of waiting at the gate.

        With ``validators`` it is asked for on the condition that it has changed; None says that it has not. What may be
        over at the next try is tried again, as often as the source says, within its timeout and through the gate. The
        page is read while its host's place is held: reading takes no less of us than fetching.

        Raises:
            LookupFailed: why there is no page; see ``app.fetch.page_fetcher.Fetcher.fetch``.
            Throttled: the host has asked to wait; it is not asked.
            OriginFailed: its circuit is open; it is not asked.
            Blocked: robots.txt does not allow the page; it is not asked for.
            Overloaded: the wait at the gate was too long, or would be.

        """
        until = self._clock() + max_wait
        self._fetcher.check(source, url)
        self._check_robots(source, url, until)
        tries = _Tries(self._observer, source, self._clock)

        return self._with_manners(
            _Way(self._hosts, source, partial(self._check_hop, source, url, until)),
            url,
            until,
            lambda seconds, check_redirect: tries.fetched(
                partial(
                    self._fetcher.fetch,
                    source,
                    url,
                    timeout=seconds,
                    validators=validators,
                    check_redirect=check_redirect,
                )
            ),
            partial(tries.read, read),
        )

    def record_throttled(self, source: Source, url: str, error: OriginError) -> None:
        """Remember that a page said, in its own words, that its host is not to be asked for a while."""
        self._hosts.record_error(authority_of(url), error, source.error_ttl, was_trial=False)

    def _check_hop(self, source: Source, url: str, until: float, target: str) -> None:
        if source.robots and origin_of(target) == origin_of(url):
            self._robots.check_redirect(target)  # whose rules are known
        else:
            self._check_robots(source, target, until)

    def _check_robots(self, source: Source, url: str, until: float) -> None:
        if not source.robots:
            return

        def fetch_file(address: str) -> bytes:
            def fetch(seconds: float, check_redirect: CheckRedirect) -> Page:
                return self._fetcher.fetch_prefix(
                    source, address, timeout=seconds, size=MAX_SIZE, check_redirect=check_redirect
                )

            way = _Way(self._hosts, source, lambda _: None)
            return self._with_manners(way, address, until, fetch, lambda page: page.body) or b""

        self._robots.check(url, fetch_file, source.error_ttl)

    def _with_manners(self, way: "_Way", url: str, until: float, fetch: Fetch, read: Callable[[Page], T]) -> T | None:
        """Call ``fetch`` at most once more than there are retries, then ``read``."""
        host = authority_of(url)
        self._hosts.check(host)  # before anybody stands in line in vain
        seconds: float = way.source.timeout
        failure: OriginDown | None = None
        for tries_left in range(way.source.retries, -1, -1):
            try:
                try:
                    self._go_to(host, way, until, seconds)
                except ServiceError:
                    if failure is None:
                        raise
                    # There is no room for another try: the first one counts.
                    self._hosts.record_error(way.last, failure, way.source.error_ttl, was_trial=False)
                    raise copy.copy(failure) from None
                began = self._clock()
                try:
                    page = fetch(seconds, partial(self._follow, way, min(until, began + seconds)))
                except OriginDown as error:
                    seconds -= self._clock() - began
                    if not tries_left or seconds <= 0 or way.is_trial:
                        way.ended(error)
                        raise
                    # Without its traceback: that leads to this frame, and both would stay until the collector comes.
                    failure = copy.copy(error)
                except LookupFailed as error:
                    way.ended(error)
                    raise
                else:
                    way.ended(None)
                    return None if page is None else read(page)
            finally:
                way.leave()
        raise AssertionError("the last try returns or raises")

    def _follow(self, way: "_Way", until: float, target: str) -> None:
        """Go where a redirect leads, as one goes to a page."""
        try:
            way.check_hop(target)
            self._go_to(authority_of(target), way, until, until - self._clock())
        except ServiceError:
            way.is_refused = True
            raise

    def _go_to(self, host: str, way: "_Way", until: float, seconds: float) -> None:
        """Take a place at a host, unless one is held already, and look whether it may be asked."""
        if host not in way.hosts:
            source = way.source
            leave = self._gate.acquire(
                host,
                concurrency=source.concurrency,
                delay=source.delay,
                deadline=until,
                check=lambda: self._hosts.check(host),
            )
            way.places.append(leave)
            way.hosts[host] = self._hosts.admit(host, seconds)
        way.last = host


class _Way:
    """The hosts that one try has been to, each with whether that tries an open circuit; ``last`` is the last of them.

    ``places`` has, for each place that is held at them, what gives it back.
    ``is_refused`` says that it ended before a host that is not to be asked: what is raised then is no host's word.
    """

    def __init__(self, known: HostHealth, source: Source, check_hop: CheckRedirect) -> None:
        self.source = source
        self.check_hop = check_hop
        self.hosts: dict[str, bool] = {}
        self.places: list[Callable[[], None]] = []
        self.last = ""
        self.is_refused = False
        self._known = known

    @property
    def is_trial(self) -> bool:
        """Whether any of them is tried."""
        return any(self.hosts.values())

    def leave(self) -> None:
        """End this try: give back all places."""
        self.hosts.clear()
        while self.places:
            self.places.pop()()

    def ended(self, error: LookupFailed | None) -> None:
        """Remember that these hosts have answered, or what the last one did instead."""
        for host, is_trial in self.hosts.items():
            if error is None or host != self.last or self.is_refused:
                self._known.record_success(host)
            else:
                self._known.record_error(host, error, self.source.error_ttl, was_trial=is_trial)


class _Tries:
    """Tells an observer of each try at a page: what it came to, and how long the page took."""

    def __init__(self, observer: Observer, source: Source, clock: Callable[[], float]) -> None:
        self._observer = observer
        self._source = source
        self._clock = clock
        self._seconds = 0.0

    def fetched(self, fetch: Callable[[], Page | None]) -> Page | None:
        """Return the page; one that has not changed, and a failure, is what the try came to."""
        began = self._clock()
        try:
            page = fetch()
        except Exception as error:
            self._tell(outcome_label(error), self._clock() - began)
            raise
        self._seconds = self._clock() - began
        if page is None:
            self._tell(NOT_MODIFIED, self._seconds)
        return page

    def read(self, read: Callable[[Page], T], page: Page) -> T:
        """Return what is read in the page that was fetched last, which is what the try came to."""
        try:
            finding = read(page)
        except Exception as error:
            self._tell(outcome_label(error), self._seconds)
            raise
        self._tell(Outcome.FOUND, self._seconds)
        return finding

    def _tell(self, outcome: str, seconds: float) -> None:
        self._observer.page_fetched(self._source.name, outcome, seconds)
