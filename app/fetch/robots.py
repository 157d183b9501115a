"""robots.txt of a host (RFC 9309): which of its pages may be fetched by us."""

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

#: So much of a file is read; RFC 9309, 2.5, asks for 500 KiB at least.
MAX_SIZE = 512 * 1024

#: A file is asked for again after a day (2.4). While it cannot be had then, the old one is used for another week.
_DAY = 86_400.0
_WEEK = 7 * _DAY

#: Files of more bytes are parsed in gevent's thread pool: 100 kB take some 50 ms.
_INLINE = 16_384

#: Characters of files whose rules a worker keeps: parsed, they take up to forty times the memory.
_KEPT = 4 * 1024 * 1024

#: A name that nobody has.
_NOBODY = "\0"

T = TypeVar("T")

#: All that Protego takes for the line with a crawler's name.
_NAME = re.compile(r"user(?:-|\s*)agent\s*[:\s](.*)", re.IGNORECASE | re.DOTALL)


class RobotsFile(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag=1):
    """What was found at ``/robots.txt``: its text, empty where there is none, and when.

    Where ``problem`` is not empty it could not be had, which forbids everything (2.3.1.4). It is asked for again after
    ``good_until``; times are seconds since the epoch.
    """

    text: str
    fetched_at: float
    good_until: float
    problem: str = ""


class _Rules:
    """A file's rules for those that ``names`` names, in lower case."""

    def __init__(self, file: RobotsFile, names: Collection[str]) -> None:
        self.file = file
        self._is_big = len(file.text) > _INLINE
        self._protego = self._run(lambda: Protego.parse(_for_us(file.text, names)))

    def allow(self, url: str, user_agent: str) -> bool:
        """Tell whether the page may be fetched."""
        return self._run(lambda: self._protego.can_fetch(url, user_agent))

    def _run(self, work: Callable[[], T]) -> T:
        return run_in_thread(work) if self._is_big else work()


class RobotsPolicy:
    """The rules of hosts for ``user_agent``, fetched when they are asked for first and kept for a day, for all workers.

    ``clock`` tells seconds since the epoch.
    """

    def __init__(self, *, user_agent: str, shared: StoreNamespace[RobotsFile], clock: Clock) -> None:
        self._user_agent = user_agent
        self._shelf = shared
        self._clock = clock
        self._names = {"*", *re.findall(r"[a-z_-]+(?=/)|^[a-z_-]+", user_agent.lower())}
        self._known: LRUCache[str, _Rules] = LRUCache(_KEPT, getsizeof=lambda rules: 512 + len(rules.file.text))
        self._turns = KeyedLock()

    def check(self, url: str, fetch: Callable[[str], bytes], error_ttl: float) -> None:
        """Look whether the page at ``url`` may be fetched; ``fetch`` returns the beginning of a file.

        That the file cannot be had is remembered for ``error_ttl`` seconds.

        Raises:
            Blocked: the rules forbid it.
            OriginFailed: the rules cannot be had, so it may be forbidden.
            Throttled: the host asked to wait when it was asked for its rules.

        """
        site = origin_of(url)
        rules = self._rules(site, fetch, error_ttl)
        if rules.file.problem:
            raise OriginFailed(f"{site}/robots.txt cannot be had, so nothing may be fetched: {rules.file.problem}")
        if not rules.allow(url, self._user_agent):
            raise Blocked(f"{site}/robots.txt does not allow this page")

    def check_redirect(self, url: str) -> None:
        """Look whether a redirect may be followed, as far as its host's rules are known. Raises Blocked."""
        known = self._known.get(origin_of(url))
        if known is not None and not known.allow(url, self._user_agent):
            raise Blocked(f"{origin_of(url)}/robots.txt does not allow where this page leads")

    def _rules(self, site: str, fetch: Callable[[str], bytes], error_ttl: float) -> _Rules:
        known = self._known.get(site)
        if known is not None and self._clock() < known.file.good_until:
            return known
        with self._turns.hold(site):
            known = self._known.get(site)
            if known is None or self._clock() >= known.file.good_until:
                file = self._renewed(site, known.file if known is not None else None, fetch, error_ttl)
                known = self._known[site] = _Rules(file, self._names)
        return known

    def _renewed(
        self, site: str, known: RobotsFile | None, fetch: Callable[[str], bytes], error_ttl: float
    ) -> RobotsFile:
        """Return the file that another worker has fetched, or the one that the host has now."""
        shared, now = self._shelf.get(site), self._clock()
        if shared is not None and shared.fetched_at <= now < shared.good_until:
            return shared
        file = _fetched(f"{site}/robots.txt", fetch, self._clock, error_ttl)
        old, now = known or shared, self._clock()
        if file.problem and old is not None and not old.problem and now < old.fetched_at + _DAY + _WEEK:
            file = msgspec.structs.replace(old, good_until=file.good_until)
        self._shelf.put(site, file, lifetime=_DAY + _WEEK)
        return file


def _fetched(url: str, fetch: Callable[[str], bytes], clock: Clock, error_ttl: float) -> RobotsFile:
    try:
        text, now = fetch(url).decode("utf-8", "replace").removeprefix("\ufeff"), clock()
    except Throttled:
        raise
    except LookupFailed as error:
        now = clock()
        # "Unavailable" (2.3.1.3), and a chain of redirects that leads nowhere (2.3.1.2): there are no rules.
        if 300 <= error.status < 500:  # noqa: PLR2004 - 3xx and 4xx
            return RobotsFile(text="", fetched_at=now, good_until=now + _DAY)
        seconds = error.retry_after if isinstance(error, OriginError) and error.retry_after else error_ttl
        return RobotsFile(text="", fetched_at=now, good_until=now + min(seconds, error_ttl), problem=str(error))
    return RobotsFile(text=text, fetched_at=now, good_until=now + _DAY)


def _for_us(text: str, names: Collection[str]) -> str:
    """Return the text with one name for all the crawlers that we are not.

    Protego keeps each rule once for every name above it: a file of 64 kB, half names and half rules, takes 11 seconds
    and 360 MB. Names that are replaced, rather than dropped, still end the group before them.
    """
    lines = []
    for line in text.splitlines():
        named = _NAME.match(line.partition("#")[0].strip())
        if named is None:
            lines.append(line)
            continue
        name = named[1].strip().lower()
        name = name if name == "*" else name.replace("*", "")
        lines.append(f"User-agent: {name if name in names else _NOBODY}")
    return "\n".join(lines)
