"""What is published over XML-RPC. A docstring here is what system.methodHelp answers, the annotations its signature."""

import hmac
import logging
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import asdict

from app.concurrency.clock import Clock
from app.config.source import Source
from app.config.sources import SourceRegistry
from app.domain.errors import InvalidParams, NotAllowed, ServiceError, TooSlow
from app.domain.records import CacheStatus, ItemId, LookupResult, format_timestamp
from app.lookup.service import LookupService, StartedLookup
from app.rpc.cacheable_result import CacheableResult
from app.rpc.faults import Fault

_log = logging.getLogger(__name__)

#: The names of what is published.
METHOD_NAMES = ("get_cover", "get_covers", "explain_cover", "list_sources", "forget_cover")


class Methods:
    """The methods of the service.

    ``max_calls`` bounds the ids of one ``get_covers``. ``admin_token`` opens the administrative methods; where it is
    None they are closed. ``fault_of`` tells what a caller is told of an exception.
    """

    def __init__(
        self,
        *,
        lookup: LookupService,
        sources: SourceRegistry,
        max_calls: int,
        admin_token: str | None,
        to_fault: Callable[[Exception], Fault],
        clock: Clock,
    ) -> None:
        self._lookup = lookup
        self._sources = sources
        self._max_calls = max_calls
        self._admin_token = admin_token
        self._fault_of = to_fault
        self._clock = clock

    def published(self) -> Sequence[tuple[Callable[..., Any], Callable[[tuple[Any, ...]], int] | None]]:
        """Return the functions to publish, under their own names, each with what weighs it in a multicall, if any."""
        return tuple((getattr(self, name), _WEIGHERS.get(name)) for name in METHOD_NAMES)

    def get_cover(self, content_id: int | str, source: str = "") -> str | CacheableResult[str]:
        """Return the absolute URL of an item's cover image.

        content_id is the item's id at its source, an int or a string; "shop:ID" names the source in the id. Without
        a source, the default one is asked. Faults: -32602 no such id or source, 404 no cover, 403 the origin blocks,
        429 it asks to wait, 502 it failed, 504 too slow, 503 overloaded.
        """
        item = self._sources.resolve(content_id, source)
        answer = self._lookup.find(item)
        url = self._url(answer)
        if answer.cache is not CacheStatus.MEMORY:
            return url
        return CacheableResult(url, self._lookup.validity_check(item, answer.record, "get_cover"))

    def get_covers(self, ids: list[int | str], source: str = "") -> dict[str, Any]:
        """Look up many covers at once.

        Returns a struct: each id, as given but as a string, with its URL, or with a struct of faultCode and
        faultString that says why there is none.
        """
        if not isinstance(ids, list):
            raise InvalidParams("ids: expected an array of ints and strings")
        if len(ids) > self._max_calls:
            raise InvalidParams(f"ids: expected at most {self._max_calls} of them, got {len(ids)}")
        for content_id in ids:
            if type(content_id) not in {int, str}:
                raise InvalidParams(f"ids: expected ints and strings, got {content_id!r:.80}")
        self._sources.resolve_name(source)

        # All are begun before any is waited for, and all are answered by one deadline.
        until = self._lookup.deadline_from_now()
        once = {str(content_id): content_id for content_id in ids}
        begun = {name: self._begin(content_id, source) for name, content_id in once.items()}
        return {name: self._end(started, until) for name, started in begun.items()}

    def _begin(self, content_id: int | str, source: str) -> StartedLookup | Exception:
        try:
            return self._lookup.begin(self._sources.resolve(content_id, source))
        except Exception as error:  # noqa: BLE001 - one id's failure is its own, whatever it is
            return error

    def _end(self, started: StartedLookup | Exception, until: float) -> str | dict[str, Any]:
        if isinstance(started, Exception):
            return self._fault_struct(started)
        try:
            return self._url(self._lookup.wait(started, until))
        except Exception as error:  # noqa: BLE001 - as above
            return self._fault_struct(error)

    def _fault_struct(self, error: Exception) -> dict[str, Any]:
        fault = self._fault_of(error)
        return {"faultCode": fault.code, "faultString": fault.text}

    def explain_cover(self, content_id: int | str, source: str = "") -> dict[str, Any]:
        """Tell what is known of an item's cover and why.

        Returns a struct: outcome (found, no_such_item, no_cover, blocked, throttled, origin_failed, too_slow), url,
        source, page_url, final_url (where redirects led), status (of the page, 0 for no answer), rule (that found the
        cover), misses (the rules tried in vain, each with its reason), fetched_at, fresh_until (UTC, as
        2026-11-22T12:45:21Z), cache (memory, store, stale, fetched) and error; what does not apply is an empty string.
        An error beside a url says why the last refresh failed.
        """
        item = self._sources.resolve(content_id, source)
        return explain_record(item, self._lookup.find(item), self._sources[item.source])

    def list_sources(self) -> list[dict[str, Any]]:
        """Tell which sources there are.

        Returns an array of structs: name, page_url, id_pattern, and default (whether bare ids are its own).
        """
        return [
            {
                "name": name,
                "page_url": str(source.page_url),
                "id_pattern": str(source.id_pattern),
                "default": name == self._sources.default,
            }
            for name, source in self._sources.items()
        ]

    def forget_cover(self, content_id: int | str, source: str, token: str) -> bool:
        """Drop what is known of an item's cover, everywhere; return whether anything was.

        Administrative: fault 403 without the service's admin_token.
        """
        if self._admin_token is None:
            raise NotAllowed("administrative methods are switched off: there is no admin_token")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._admin_token.encode()):
            raise NotAllowed("this is not the admin_token")
        item = self._sources.resolve(content_id, source)
        was_known = self._lookup.forget(item)
        _log.info("%s is forgotten", item, extra=asdict(item) | {"was_known": was_known})
        return was_known

    def _url(self, answer: LookupResult) -> str:
        record = answer.record
        if record.is_found:
            return record.url
        raise record.to_error(self._clock())


def explain_record(item: ItemId, result: LookupResult, source: Source) -> dict[str, Any]:
    """Return what is known of an item of this source, as ``explain_cover`` tells it."""
    record = result.record
    page_url = source.page_url_for(item.id)
    is_by_rule = (
        record.rule >= 0 and record.source_fingerprint == source.fingerprint
    )  # not by one that was there before
    return {
        "outcome": str(record.outcome),
        "url": record.url,
        "source": item.source,
        "page_url": page_url,
        "final_url": record.final_url or (page_url if record.status else ""),
        "status": record.status,
        "rule": str(source.extract[record.rule]) if is_by_rule else "",
        "misses": list(record.misses),
        "fetched_at": format_timestamp(record.fetched_at),
        "fresh_until": format_timestamp(record.fresh_until),
        "cache": str(result.cache),
        "error": record.error,
    }


def _count_of_ids(params: tuple[Any, ...]) -> int:
    """Return how many lookups a call of ``get_covers`` is; whatever is wrong with it counts as one."""
    return max(1, len(params[0])) if params and isinstance(params[0], list) else 1


_WEIGHERS = {"get_covers": _count_of_ids}


def map_service_error(error: Exception) -> Fault | None:
    """Return the fault that a domain error stands for, or None for any other exception."""
    if isinstance(error, ServiceError):
        return Fault(error.fault_code, str(error))
    if isinstance(error, TimeoutError):
        return Fault(TooSlow.fault_code, str(error))
    return None
