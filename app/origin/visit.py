"""A visit to an origin, with manners: robots.txt is asked, the gate passed, and what the host answers remembered."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from app.errors import LookupFailed, OriginDown, OriginError, ServiceError
from app.origin.gate import Gate
from app.origin.hosts import Hosts
from app.origin.page import Page, Validators
from app.origin.request import read_url
from app.origin.robots import MAX_SIZE, Robots
from app.source import Source


class Fetcher(Protocol):
    """Asks once, as ``app.origin.fetch.Fetcher`` does."""

    def check(self, source: Source, url: str) -> None: ...  # noqa: D102 - see the class
    def fetch(  # noqa: D102
        self,
        source: Source,
        url: str,
        *,
        timeout: float,
        validators: Validators | None = None,
        may_follow: Callable[[str], None] = ...,
    ) -> Page | None: ...
    def fetch_beginning(self, source: Source, url: str, *, timeout: float, size: int) -> Page: ...  # noqa: D102


class Visitor:
    """Visits origins. ``clock`` must not jump."""

    def __init__(
        self, *, fetcher: Fetcher, gate: Gate, hosts: Hosts, robots: Robots, clock: Callable[[], float]
    ) -> None:
        self._fetcher = fetcher
        self._gate = gate
        self._hosts = hosts
        self._robots = robots
        self._clock = clock

    def visit(self, source: Source, url: str, patience: float, validators: Validators | None = None) -> Page | None:
        """Return the page at ``url``, after at most ``patience`` seconds of waiting at the gate.

        With ``validators`` it is asked for on the condition that it has changed; None says that it has not. What may be
        over at the next try is tried again, as often as the source says, within its timeout and through the gate.

        Raises:
            LookupFailed: why there is no page; see ``app.origin.fetch.Fetcher.fetch``.
            Throttled: the host has asked to wait; it is not asked.
            OriginFailed: its circuit is open; it is not asked.
            Blocked: robots.txt does not allow the page; it is not asked for.
            Overloaded: the wait at the gate was too long, or would be.

        """
        until = self._clock() + patience
        self._fetcher.check(source, url)
        if source.robots:
            self._robots.check(url, lambda robots: self._robots_file(source, robots, until), source.error_ttl)

        def may_follow(target: str) -> None:
            if source.robots:
                self._robots.check_hop(target)

        def fetch(seconds: float) -> Page | None:
            return self._fetcher.fetch(source, url, timeout=seconds, validators=validators, may_follow=may_follow)

        return self._with_manners(source, url, until, fetch)

    def throttled(self, source: Source, url: str, error: OriginError) -> None:
        """Remember that a page said, in its own words, that its host is not to be asked for a while."""
        self._hosts.hear(host_of(url), error, source.error_ttl, was_trial=False)

    def _robots_file(self, source: Source, url: str, until: float) -> bytes:
        def fetch(seconds: float) -> Page | None:
            return self._fetcher.fetch_beginning(source, url, timeout=seconds, size=MAX_SIZE)

        page = self._with_manners(source, url, until, fetch)
        return b"" if page is None else page.body

    def _with_manners(
        self, source: Source, url: str, until: float, fetch: Callable[[float], Page | None]
    ) -> Page | None:
        """Call ``fetch`` with the seconds that it may take, at most once more than there are retries."""
        host = host_of(url)
        self._hosts.check(host)  # before anybody stands in line in vain
        seconds: float = source.timeout
        failure: OriginDown | None = None
        for tries_left in range(source.retries, -1, -1):
            with ExitStack() as turn:
                try:
                    turn.enter_context(self._gate_of(host, source, until))
                    is_trial = self._hosts.admit(host, seconds)
                except ServiceError:
                    if failure is None:
                        raise
                    break  # there is no room for another try
                began = self._clock()
                try:
                    page = fetch(seconds)
                except OriginDown as error:
                    failure = error
                    seconds -= self._clock() - began
                    if not tries_left or is_trial or seconds <= 0:
                        break
                except LookupFailed as error:
                    self._hosts.hear(host, error, source.error_ttl, was_trial=is_trial)
                    raise
                else:
                    self._hosts.answered(host)
                    return page
        if failure is None:
            raise AssertionError("a loop that was left without a page has failed")
        self._hosts.hear(host, failure, source.error_ttl, was_trial=is_trial)
        raise failure

    def _gate_of(self, host: str, source: Source, until: float) -> AbstractContextManager[None]:
        return self._gate.place(
            host,
            concurrency=source.concurrency,
            delay=source.delay,
            until=until,
            may_go=lambda: self._hosts.check(host),
        )


def host_of(url: str) -> str:
    """Return the host that an http or https URL leads to, with its port where that is not the scheme's own.

    Raises:
        BadUrlError: it leads to none.

    """
    return read_url(url)[0].authority
