"""What the guards cost: our reader and writer against ``xmlrpc.client``'s own, on one call of get_cover.

Run by ``python -m benchmarks.wire``. Each line has the quickest of many short rounds, ours and theirs taking turns in
one process, and the ratio of the two.
"""

import timeit
import xmlrpc.client
from collections.abc import Callable

from app.rpc.dialect import PLAIN
from app.rpc.parser import parse_call
from app.rpc.serializer import serialize_value

_ROUNDS = 2000
_CALLS = 20  # in a round: short enough that many rounds pass undisturbed on a busy machine

_URL = "http://www.ozon.ru/multimedia/audio_cd_covers/1000042.jpg"
_IDS = list(range(1_000_000, 1_001_000))


def least(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, calls: int) -> tuple[float, float]:
    """Return the least microseconds that a call takes, of ours and of theirs."""
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for which, function in enumerate((ours, theirs)):
            best[which] = min(best[which], timeit.timeit(function, number=calls) / calls * 1e6)
    return best[0], best[1]


def main() -> None:
    """Print the table."""
    number = xmlrpc.client.dumps((1000042,), "get_cover").encode()
    text = xmlrpc.client.dumps(("1000042",), "get_cover").encode()
    many = xmlrpc.client.dumps((_IDS,), "get_covers").encode()
    covers = {str(number): _URL for number in _IDS}
    rows: list[tuple[str, Callable[[], object], Callable[[], object], int, int]] = [
        ("read get_cover(int)", lambda: parse_call(number), lambda: xmlrpc.client.loads(number), _ROUNDS, _CALLS),
        ("read get_cover(string)", lambda: parse_call(text), lambda: xmlrpc.client.loads(text), _ROUNDS, _CALLS),
        ("read get_covers(1,000 ids)", lambda: parse_call(many), lambda: xmlrpc.client.loads(many), _ROUNDS // 20, 1),
        (
            "write a cover's address",
            lambda: serialize_value(_URL, dialect=PLAIN),
            lambda: xmlrpc.client.dumps((_URL,), methodresponse=True).encode(),
            _ROUNDS,
            _CALLS,
        ),
        (
            "write 1,000 addresses",
            lambda: serialize_value(covers, dialect=PLAIN),
            lambda: xmlrpc.client.dumps((covers,), methodresponse=True).encode(),
            _ROUNDS // 20,
            1,
        ),
    ]
    print(f"{'':28}{'ours, us':>12}{'theirs, us':>12}{'ratio':>8}")
    for name, ours, theirs, rounds, calls in rows:
        mine, other = least(ours, theirs, rounds=rounds, calls=calls)
        print(f"{name:28}{mine:12.1f}{other:12.1f}{mine / other:8.2f}")


if __name__ == "__main__":
    main()
