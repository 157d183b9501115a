"""The published XML-RPC methods.

The docstring of a method is the text that system.methodHelp returns, and its annotations are its signature.
"""

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

#: The names of the published methods.
METHOD_NAMES = ("get_cover", "get_covers", "explain_cover", "list_sources", "forget_cover")


class Methods:
    """The methods of the service.

    ``max_calls`` limits the ids of one ``get_covers``. ``admin_token`` authorises the administrative methods, which are
    disabled if it is None. ``to_fault`` returns the fault for an exception. ``clock`` is that of ``lookup``.
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
        self._to_fault = to_fault
        self._clock = clock

    def published_functions(self) -> Sequence[tuple[Callable[..., Any], Callable[[tuple[Any, ...]], int] | None]]:
        """Return the functions to publish, each with the function that counts the lookups of a call.

        The counter takes the parameters of a call; the dispatcher limits the lookups of a multicall by it. It is None
        for functions whose calls are one lookup each.
        """
        return tuple((getattr(self, name), _LOOKUP_COUNTERS.get(name)) for name in METHOD_NAMES)

    def get_cover(self, content_id: int | str, source: str = "") -> str | CacheableResult[str]:
        """Return the absolute URL of an item's cover image.

        content_id is the item's id at its source, an int or a string; "shop:ID" names the source in the id. Without
        a source, the default source is used. Faults: -32602 invalid id or unknown source, 404 no cover, 403 the origin
        blocks the service, 429 the origin asks to wait, 502 the origin failed, 504 too slow, 503 overloaded.
        """
        item = self._sources.resolve(content_id, source)
        result = self._lookup.find(item)
        url = self._url(result)
        if result.cache is not CacheStatus.MEMORY:
            return url
        return CacheableResult(url, self._lookup.validity_check(item, result.record, "get_cover"))

    def get_covers(self, ids: list[int | str], source: str = "") -> dict[str, Any]:
        """Look up many covers at once.

        Returns a struct with a member for each id. Its name is the id as a string; its value is the URL of the cover,
        or a struct of faultCode and faultString that says why there is none. Fault -32602: ids is not an array of ints
        and strings, or has too many of them, or the source is unknown.
        """
        if not isinstance(ids, list):
            raise InvalidParams("ids: expected an array of ints and strings")
        if len(ids) > self._max_calls:
            raise InvalidParams(f"ids: expected at most {self._max_calls} ids, got {len(ids)}")
        for content_id in ids:
            if type(content_id) not in {int, str}:
                raise InvalidParams(f"ids: expected ints and strings, got {content_id!r:.80}")
        self._sources.resolve_name(source)

        # All lookups start before the first wait, so they run concurrently, and they share one deadline.
        deadline = self._lookup.deadline_from_now()
        unique_ids = {str(content_id): content_id for content_id in ids}
        started = {name: self._begin(content_id, source) for name, content_id in unique_ids.items()}
        return {name: self._url_or_fault(lookup, deadline) for name, lookup in started.items()}

    def _begin(self, content_id: int | str, source: str) -> StartedLookup | Exception:
        try:
            return self._lookup.begin(self._sources.resolve(content_id, source))
        except Exception as error:  # noqa: BLE001 - the failure of one id must not affect the others
            return error

    def _url_or_fault(self, lookup: StartedLookup | Exception, deadline: float) -> str | dict[str, Any]:
        if isinstance(lookup, Exception):
            return self._fault_struct(lookup)
        try:
            return self._url(self._lookup.wait(lookup, deadline))
        except Exception as error:  # noqa: BLE001 - as above
            return self._fault_struct(error)

    def _fault_struct(self, error: Exception) -> dict[str, Any]:
        fault = self._to_fault(error)
        return {"faultCode": fault.code, "faultString": fault.text}

    def explain_cover(self, content_id: int | str, source: str = "") -> dict[str, Any]:
        """Return the record of an item's cover: the result of the lookup, and how it was reached.

        Returns a struct: outcome (found, no_such_item, no_cover, blocked, throttled, origin_failed, too_slow), url,
        source, page_url, final_url (after redirects), status (the HTTP status of the page, 0 without a response), rule
        (that found the cover), misses (the rules that found nothing, each with its reason), fetched_at, fresh_until
        (UTC, as 2026-11-22T12:45:21Z), cache (memory, store, stale, fetched) and error. A string that does not apply
        is empty. If there is both a url and an error, the error says why the last refresh failed.
        """
        item = self._sources.resolve(content_id, source)
        return explain_record(item, self._lookup.find(item), self._sources[item.source])

    def list_sources(self) -> list[dict[str, Any]]:
        """List the sources.

        Returns an array of structs: name, page_url, id_pattern, and default (true for the source that is used when a
        call names none).
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
        """Delete the record of an item's cover from all caches; return whether there was one.

        Administrative: token must be the service's admin_token. Faults: 403 wrong token, or no admin_token is set,
        -32602 invalid id or unknown source, 503 the store is unavailable.
        """
        if self._admin_token is None:
            raise NotAllowed("administrative methods are disabled: admin_token is not set")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._admin_token.encode()):
            raise NotAllowed("wrong admin_token")
        item = self._sources.resolve(content_id, source)
        was_known = self._lookup.forget(item)
        _log.info("%s is forgotten", item, extra=asdict(item) | {"was_known": was_known})
        return was_known

    def _url(self, result: LookupResult) -> str:
        record = result.record
        if record.is_found:
            return record.url
        raise record.to_error(self._clock())


def explain_record(item: ItemId, result: LookupResult, source: Source) -> dict[str, Any]:
    """Return the result of a lookup as the struct that ``explain_cover`` returns."""
    record = result.record
    page_url = source.page_url_for(item.id)
    # If the rules have changed since, the position of the rule means nothing.
    is_rule_current = record.rule >= 0 and record.source_fingerprint == source.fingerprint
    return {
        "outcome": str(record.outcome),
        "url": record.url,
        "source": item.source,
        "page_url": page_url,
        "final_url": record.final_url or (page_url if record.status else ""),
        "status": record.status,
        "rule": str(source.extract[record.rule]) if is_rule_current else "",
        "misses": list(record.misses),
        "fetched_at": format_timestamp(record.fetched_at),
        "fresh_until": format_timestamp(record.fresh_until),
        "cache": str(result.cache),
        "error": record.error,
    }


def _count_ids(params: tuple[Any, ...]) -> int:
    """Return the number of lookups of a ``get_covers`` call; 1 if its parameters are invalid."""
    return max(1, len(params[0])) if params and isinstance(params[0], list) else 1


_LOOKUP_COUNTERS = {"get_covers": _count_ids}


def map_service_error(error: Exception) -> Fault | None:
    """Return the fault for a domain error or a TimeoutError, or None for any other exception."""
    if isinstance(error, ServiceError):
        return Fault(error.fault_code, str(error))
    if isinstance(error, TimeoutError):
        return Fault(TooSlow.fault_code, str(error))
    return None
