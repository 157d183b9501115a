"""The summary: what the rounds of lookups came to, in words, and whether every answer was right.

The catalogue tells what is right: the URL of a record's own cover, and fault 404 where there is none.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from demo.catalogue import Catalogue
from demo.client import Answer, Round

#: The fault for an item that does not exist or has no cover.
NO_COVER = 404

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Judge:
    """Tells right answers from wrong ones; `shop` is the address that the right URLs begin with."""

    catalogue: Catalogue
    shop: str

    def is_right(self, answer: Answer) -> bool:
        """Whether the answer is what the catalogue says."""
        product = self.catalogue.products.get(answer.content_id)
        if product is None or product.cover_path is None:
            return answer.fault == NO_COVER
        return answer.url == self.shop + product.cover_path

    def wrong(self, asked: Round) -> list[Answer]:
        """The answers of a round that are not right."""
        return [answer for answer in asked.answers if not self.is_right(answer)]

    def outcome(self, asked: Round) -> Iterator[str]:
        """Lines that tell how many were found, how many are missing and why, and what went wrong, if anything did."""
        found = sum(answer.url is not None for answer in asked.answers)
        missing = [answer.content_id for answer in asked.answers if answer.fault == NO_COVER]
        no_such_item = sum(content_id not in self.catalogue.products for content_id in missing)
        yield (
            f"{found} found, {len(missing)} missing (fault 404: {no_such_item} not in the shop, "
            f"{len(missing) - no_such_item} without a picture)"
        )
        others = [answer for answer in asked.answers if answer.url is None and answer.fault != NO_COVER]
        if others:
            kinds = Counter("no answer" if answer.fault is None else f"fault {answer.fault}" for answer in others)
            yield f"{len(others)} failed: " + ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
        if wrong := self.wrong(asked):
            yield f"{len(wrong)} not what the shop has, such as"
            for answer in wrong[:_EXAMPLES]:
                yield "  " + example(answer)


def times(asked: Round) -> str:
    """How long a round took, and a call of it."""
    if len(asked.calls) == 1:
        return f"{_time(asked.seconds)} for the call, {_time(asked.seconds / len(asked.answers))} per id"
    middle, longest = median(asked.calls), max(asked.calls)
    return f"{_time(asked.seconds)} in all; a call {_time(middle)} at the median, {_time(longest)} at most"


def pages(served: int, asked: int) -> str:
    """How many pages the shop served while `asked` ids were asked for."""
    if served == 0:
        return "the shop served no page"
    return f"the shop served {served} pages" + (": one per id" if served == asked else f" for {asked} ids")


def example(answer: Answer) -> str:
    """One answer on a line."""
    if answer.url is not None:
        return f"{answer.content_id} -> {answer.url}"
    return f"{answer.content_id} -> {'no answer' if answer.fault is None else f'fault {answer.fault}'}: {answer.text}"


def invitation(service: str, shop: str, content_id: int, ids: Sequence[int]) -> str:
    """What to try next: commands to paste and addresses to open; `content_id` has a cover, `ids` are to look at."""
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
  XML-RPC is answered at   {rpc}
  the shop is open at      {shop}/"""


def _time(seconds: float) -> str:
    """A duration as people read it."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
