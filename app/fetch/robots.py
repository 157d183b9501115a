"""The Robots Exclusion Protocol (RFC 9309): which pages of an origin its robots.txt allows us to fetch."""

import re
from collections.abc import Callable, Collection
from typing import TypeVar

import msgspec
from cachetools import LRUCache
from protego import Protego

from app.concurrency.clock import Clock
from app.concurrency.greenlets import run_in_thread
from app.concurrency.keyed_lock import KeyedLock
from app.domain.errors import Blocked, LookupFailed, OriginError, OriginFailed, Throttled
from app.fetch.http_request import origin_of
from app.store.circuit_breaker import StoreNamespace

#: How many bytes of a file are read. RFC 9309, 2.5, requires at least 500 KiB.
MAX_SIZE = 512 * 1024

#: A file is fetched again after a day (RFC 9309, 2.4). If that fails, the old file is used for up to another week.
_DAY = 86_400.0
_WEEK = 7 * _DAY

#: Files with more characters are parsed in gevent's thread pool, because parsing 100 kB takes about 50 ms.
_MAX_INLINE = 16_384

#: The total size, in characters, of the files whose rules a worker caches. Parsed rules take up to forty times as much
#: memory as their file.
_MAX_CACHED = 4 * 1024 * 1024

#: A crawler name that no user agent has.
_OTHER_CRAWLER = "\0"

T = TypeVar("T")

#: Everything that Protego accepts as a User-agent line.
_USER_AGENT_LINE = re.compile(r"user(?:-|\s*)agent\s*[:\s](.*)", re.IGNORECASE | re.DOTALL)


class RobotsFile(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """The robots.txt of an origin: its text and the time of the fetch. The text is empty if there is no file.

    If the file could not be fetched, ``problem`` says why, and everything is disallowed (RFC 9309, 2.3.1.4). The file
    is fetched again after ``fresh_until``. Times are seconds since the epoch.
    """

    text: str
    fetched_at: float
    fresh_until: float
    problem: str = ""


class _Rules:
    """The parsed rules of a file for the crawlers in ``names``, which are lower-case."""

    def __init__(self, file: RobotsFile, names: Collection[str]) -> None:
        self.file = file
        self._uses_thread = len(file.text) > _MAX_INLINE
        self._protego = self._run(lambda: Protego.parse(_replace_other_crawlers(file.text, names)))

    def allow(self, url: str, user_agent: str) -> bool:
        """Return whether the page at ``url`` may be fetched."""
        return self._run(lambda: self._protego.can_fetch(url, user_agent))

    def _run(self, work: Callable[[], T]) -> T:
        return run_in_thread(work) if self._uses_thread else work()


class RobotsPolicy:
    """Applies the rules of robots.txt files to ``user_agent``.

    A file is fetched when the first page of its origin is checked. It is cached for a day, in this worker and in
    ``shared``, the part of the store through which workers share files. ``clock`` returns seconds since the epoch.
    """

    def __init__(self, *, user_agent: str, shared: StoreNamespace[RobotsFile], clock: Clock) -> None:
        self._user_agent = user_agent
        self._shared = shared
        self._clock = clock
        self._names = {"*", *re.findall(r"[a-z_-]+(?=/)|^[a-z_-]+", user_agent.lower())}
        self._cache: LRUCache[str, _Rules] = LRUCache(_MAX_CACHED, getsizeof=lambda rules: 512 + len(rules.file.text))
        self._locks = KeyedLock()

    def check(self, url: str, fetch: Callable[[str], bytes], error_ttl: float) -> None:
        """Check that the page at ``url`` may be fetched.

        ``fetch`` returns the first ``MAX_SIZE`` bytes of a robots.txt file. If ``fetch`` fails, the failure is cached
        for ``error_ttl`` seconds at most.

        Raises:
            Blocked: robots.txt disallows the page.
            OriginFailed: robots.txt could not be fetched, and might disallow the page.
            Throttled: the host asked to wait in response to the request for robots.txt.

        """
        origin = origin_of(url)
        rules = self._rules_of(origin, fetch, error_ttl)
        if rules.file.problem:
            raise OriginFailed(f"{origin}/robots.txt cannot be fetched, so no page is fetched: {rules.file.problem}")
        if not rules.allow(url, self._user_agent):
            raise Blocked(f"{origin}/robots.txt does not allow this page")

    def has_rules(self, url: str) -> bool:
        """Return whether ``check`` can check the page at ``url`` without waiting for robots.txt."""
        rules = self._cache.get(origin_of(url))
        return rules is not None and self._clock() < rules.file.fresh_until

    def check_redirect(self, url: str) -> None:
        """Check the target of a redirect against the rules of its origin, if they are cached. Raises Blocked."""
        rules = self._cache.get(origin_of(url))
        if rules is not None and not rules.allow(url, self._user_agent):
            raise Blocked(f"{origin_of(url)}/robots.txt does not allow the target of a redirect")

    def _rules_of(self, origin: str, fetch: Callable[[str], bytes], error_ttl: float) -> _Rules:
        rules = self._cache.get(origin)
        if rules is not None and self._clock() < rules.file.fresh_until:
            return rules
        with self._locks.hold(origin):
            rules = self._cache.get(origin)
            if rules is None or self._clock() >= rules.file.fresh_until:
                file = self._refresh(origin, rules.file if rules is not None else None, fetch, error_ttl)
                rules = self._cache[origin] = _Rules(file, self._names)
        return rules

    def _refresh(
        self, origin: str, cached: RobotsFile | None, fetch: Callable[[str], bytes], error_ttl: float
    ) -> RobotsFile:
        """Return a fresh file from the store or the origin server. If there is none, an old file may be used."""
        shared, now = self._shared.get(origin), self._clock()
        if shared is not None and shared.fetched_at <= now < shared.fresh_until:
            return shared
        file = _fetch_file(f"{origin}/robots.txt", fetch, self._clock, error_ttl)
        old, now = cached or shared, self._clock()
        if file.problem and old is not None and not old.problem and now < old.fetched_at + _DAY + _WEEK:
            file = msgspec.structs.replace(old, fresh_until=file.fresh_until)
        self._shared.put(origin, file, lifetime=_DAY + _WEEK)
        return file


def _fetch_file(url: str, fetch: Callable[[str], bytes], clock: Clock, error_ttl: float) -> RobotsFile:
    try:
        text, now = fetch(url).decode("utf-8", "replace").removeprefix("\ufeff"), clock()
    except Throttled:
        raise
    except LookupFailed as error:
        now = clock()
        # The file is "unavailable" (RFC 9309, 2.3.1.3), or there are too many redirects (2.3.1.2): no rules apply.
        if 300 <= error.status < 500:  # noqa: PLR2004 - 3xx and 4xx
            return RobotsFile(text="", fetched_at=now, fresh_until=now + _DAY)
        seconds = error.retry_after if isinstance(error, OriginError) and error.retry_after else error_ttl
        return RobotsFile(text="", fetched_at=now, fresh_until=now + min(seconds, error_ttl), problem=str(error))
    return RobotsFile(text=text, fetched_at=now, fresh_until=now + _DAY)


def _replace_other_crawlers(text: str, names: Collection[str]) -> str:
    """Return the file with one name in place of all crawlers that are not in ``names``.

    Protego stores each rule once for each crawler to which the rule applies. Without the replacement, a file of 64 kB,
    half crawlers and half rules, takes 11 seconds and 360 MB. The User-agent lines must remain, because each of them
    may end the group before it.
    """
    lines = []
    for line in text.splitlines():
        match = _USER_AGENT_LINE.match(line.partition("#")[0].strip())
        if match is None:
            lines.append(line)
            continue
        name = match[1].strip().lower()
        name = name if name == "*" else name.replace("*", "")
        lines.append(f"User-agent: {name if name in names else _OTHER_CRAWLER}")
    return "\n".join(lines)
