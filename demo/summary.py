"""The summary of the demo: counts, times and examples as text, and whether the results are correct.

A result is correct if it is the URL of the record's own cover, or fault 404 where the catalogue has no cover.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from demo.catalogue import Catalogue
from demo.client import Result, Run

#: The fault for an item that does not exist or has no cover.
NO_COVER = 404

_MAX_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class ResultChecker:
    """Compares results with the catalogue. `shop` is the shop's address, with which correct URLs begin."""

    catalogue: Catalogue
    shop: str

    def is_correct(self, result: Result) -> bool:
        """Whether the result is that of the catalogue."""
        product = self.catalogue.products.get(result.content_id)
        if product is None or product.cover_path is None:
            return result.fault == NO_COVER
        return result.url == self.shop + product.cover_path

    def incorrect(self, run: Run) -> list[Result]:
        """Return the results of a run that are not correct."""
        return [result for result in run.results if not self.is_correct(result)]

    def summarise(self, run: Run) -> Iterator[str]:
        """Yield a line with the numbers of found and missing covers, and lines for what failed or is incorrect."""
        found = sum(result.url is not None for result in run.results)
        missing = [result.content_id for result in run.results if result.fault == NO_COVER]
        no_such_item = sum(content_id not in self.catalogue.products for content_id in missing)
        yield (
            f"{found} found, {len(missing)} missing (fault 404: {no_such_item} not in the shop, "
            f"{len(missing) - no_such_item} without a picture)"
        )
        failed = [result for result in run.results if result.url is None and result.fault != NO_COVER]
        if failed:
            kinds = Counter("no response" if result.fault is None else f"fault {result.fault}" for result in failed)
            yield f"{len(failed)} failed: " + ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
        if incorrect := self.incorrect(run):
            yield f"{len(incorrect)} incorrect, for example:"
            for result in incorrect[:_MAX_EXAMPLES]:
                yield "  " + format_result(result)


def format_times(run: Run) -> str:
    """Return how long a run took, and each of its calls."""
    if len(run.call_seconds) == 1:
        return f"{_duration(run.seconds)} for the call, {_duration(run.seconds / len(run.results))} per id"
    middle, longest = median(run.call_seconds), max(run.call_seconds)
    return f"{_duration(run.seconds)} in all; per call {_duration(middle)} (median), {_duration(longest)} (maximum)"


def format_pages(served: int, ids: int) -> str:
    """Return how many pages the shop served while `ids` ids were looked up."""
    if served == 0:
        return "the shop served no pages"
    return f"the shop served {served} pages" + (": one per id" if served == ids else f" for {ids} ids")


def format_result(result: Result) -> str:
    """Return one result as a line."""
    if result.url is not None:
        return f"{result.content_id} -> {result.url}"
    return f"{result.content_id} -> {'no response' if result.fault is None else f'fault {result.fault}'}: {result.text}"


def next_steps(service: str, shop: str, content_id: int, ids: Sequence[int]) -> str:
    """Return commands to paste and URLs to open. `content_id` has a cover; `ids` are for the web page."""
    rpc = f"{service}/RPC2"
    call = (
        f"<methodCall><methodName>get_cover</methodName>"
        f"<params><param><value><int>{content_id}</int></value></param></params></methodCall>"
    )
    python = f'import xmlrpc.client; print(xmlrpc.client.ServerProxy("{rpc}").get_cover({content_id}))'
    return f"""
Try it:
  curl -s -H 'Content-Type: text/xml' -d '{call}' {rpc}
  python3 -c '{python}'

  the web page is at       {service}/
  with some covers         {service}/#ids={",".join(map(str, ids))}
  one cover is at          {service}/cover/{content_id}
  the XML-RPC endpoint is  {rpc}
  the shop is at           {shop}/"""


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
