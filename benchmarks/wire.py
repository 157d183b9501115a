"""The cost of strict XML-RPC: the parser and serialiser of app.rpc against those of ``xmlrpc.client``.

Run by ``python -m benchmarks.wire``. Each row has the shortest of many rounds, which alternate between the two in one
process, and the ratio of the two.
"""

import timeit
import xmlrpc.client
from collections.abc import Callable

from app.rpc.dialect import PLAIN
from app.rpc.parser import parse_call
from app.rpc.serializer import serialize_value

_ROUNDS = 2000
_CALLS = 20  # per round: short enough for many rounds without interruption on a busy machine

_URL = "http://www.ozon.ru/multimedia/audio_cd_covers/1000042.jpg"
_IDS = list(range(1_000_000, 1_001_000))


def min_times(
    ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, calls: int
) -> tuple[float, float]:
    """Return the shortest time of a call of each function over all rounds, in microseconds."""
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for index, function in enumerate((ours, theirs)):
            best[index] = min(best[index], timeit.timeit(function, number=calls) / calls * 1e6)
    return best[0], best[1]


def main() -> None:
    """Print the table."""
    number = xmlrpc.client.dumps((1000042,), "get_cover").encode()
    text = xmlrpc.client.dumps(("1000042",), "get_cover").encode()
    many = xmlrpc.client.dumps((_IDS,), "get_covers").encode()
    covers = {str(number): _URL for number in _IDS}
    rows: list[tuple[str, Callable[[], object], Callable[[], object], int, int]] = [
        ("parse get_cover(int)", lambda: parse_call(number), lambda: xmlrpc.client.loads(number), _ROUNDS, _CALLS),
        ("parse get_cover(string)", lambda: parse_call(text), lambda: xmlrpc.client.loads(text), _ROUNDS, _CALLS),
        ("parse get_covers(1,000 ids)", lambda: parse_call(many), lambda: xmlrpc.client.loads(many), _ROUNDS // 20, 1),
        (
            "serialise a URL",
            lambda: serialize_value(_URL, dialect=PLAIN),
            lambda: xmlrpc.client.dumps((_URL,), methodresponse=True).encode(),
            _ROUNDS,
            _CALLS,
        ),
        (
            "serialise 1,000 URLs",
            lambda: serialize_value(covers, dialect=PLAIN),
            lambda: xmlrpc.client.dumps((covers,), methodresponse=True).encode(),
            _ROUNDS // 20,
            1,
        ),
    ]
    print(f"{'':28}{'covers us':>12}{'xmlrpc.client us':>18}{'ratio':>8}")
    for name, ours, theirs, rounds, calls in rows:
        our_time, their_time = min_times(ours, theirs, rounds=rounds, calls=calls)
        print(f"{name:28}{our_time:12.1f}{their_time:18.1f}{our_time / their_time:8.2f}")


if __name__ == "__main__":
    main()
