"""What is told of a worker, counted on the board and read from it, over all workers."""

from collections.abc import Mapping

import pytest

from app.fetch.host_health import FAILURE_THRESHOLD, HostHealth, HostState
from app.store.circuit_breaker import CircuitBreakingStore
from app.telemetry.counters import Counters, LabelValues, clear_gauges, count_worker_exit
from app.telemetry.prometheus import PrometheusCollector
from app.telemetry.shared_counters import SharedCounters
from tests.support.clock import ManualClock
from tests.support.metric_samples import Samples, samples_in

HOST = "shop.example"
LABELS = LabelValues(methods=("get_cover", "get_covers"), sources=("shop", "other"), hosts=(HOST, "other.example"))


class Server:
    """Workers of one server: each has its row of the board."""

    def __init__(self) -> None:
        self.board = SharedCounters.create(8)
        self.board.add(LABELS.columns())
        self.clock = ManualClock()
        self.rows = set[int]()

    def worker(self) -> Counters:
        """Return the tally of another worker, whose hub beats."""
        row = self.board.free_slot(self.rows)
        self.rows.add(row)
        tally = Counters(self.board, row, LABELS, monotonic=self.clock)
        tally.record_hub_lag(lag=0, due=self.clock.now + 0.25, entries=10)
        return tally

    def bury(self, row: int) -> None:
        """Have a worker be gone."""
        self.rows.remove(row)
        clear_gauges(self.board, row)

    def samples(self) -> Samples:
        """Return what Prometheus reads."""
        text = PrometheusCollector(self.board, monotonic=self.clock).exposition()
        return samples_in(text.decode())


@pytest.fixture
def server() -> Server:
    return Server()


def test_calls_of_all_workers_are_summed_by_method_and_fault(server: Server) -> None:
    for worker in (server.worker(), server.worker()):
        worker.call_finished("get_cover", None, 0.1)
        worker.call_finished("get_cover", 404, 0.1)
        worker.call_finished("", -32601, 0.1)
    samples = server.samples()
    for labels in ({"method": "get_cover", "fault": ""}, {"method": "get_cover", "fault": "404"}):
        assert samples["covers_calls_total", labels] == 2
    assert samples["covers_calls_total", {"method": "", "fault": "-32601"}] == 2
    assert samples.total("covers_calls_total") == 6


def test_a_fault_code_that_is_none_of_ours_is_another_one(server: Server) -> None:
    """So that there are so many and no more."""
    worker = server.worker()
    for code in (1, 2, 3):
        worker.call_finished("get_cover", code, 0.1)
    assert server.samples()["covers_calls_total", {"method": "get_cover", "fault": "other"}] == 3


def test_an_answer_that_is_given_once_more_is_a_call_and_a_lookup_from_memory(server: Server) -> None:
    worker = server.worker()
    worker.call_finished("get_cover", None, 0.1)
    worker.lookup_finished("shop", "found", "memory")
    again = worker.cached_response_counter("shop", "get_cover")
    for _ in range(3):
        again()
    samples = server.samples()
    assert samples["covers_calls_total", {"method": "get_cover", "fault": ""}] == 4
    assert samples["covers_lookups_total", {"source": "shop", "outcome": "found", "cache": "memory"}] == 4
    assert samples["covers_call_seconds_count", {"method": "get_cover"}] == 1


def test_one_that_answers_no_call_is_a_lookup_alone(server: Server) -> None:
    server.worker().cached_response_counter("shop", "")()
    samples = server.samples()
    assert samples.total("covers_calls_total") == 0
    assert samples.total("covers_lookups_total") == 1


def test_seconds_are_counted_in_buckets(server: Server) -> None:
    for seconds in (0.0004, 0.001, 0.0011, 0.3, 11):
        server.worker().page_fetched("shop", "found", seconds)
    samples = server.samples()
    buckets = {bound: samples["covers_fetch_seconds_bucket", {"source": "shop", "le": bound}] for bound in BOUNDS}
    assert buckets == BOUNDS
    assert samples["covers_fetch_seconds_sum", {"source": "shop"}] == pytest.approx(11.3025)
    assert samples["covers_fetch_seconds_count", {"source": "shop"}] == 5


#: How many are at most so long.
BOUNDS: Mapping[str, int] = {"0.001": 2, "0.0025": 3, "0.25": 3, "0.5": 4, "10.0": 4, "+Inf": 5}


def test_counts_outlive_their_worker_and_the_next_one_goes_on_from_them(server: Server) -> None:
    for _ in range(3):
        worker = server.worker()
        worker.call_finished("get_cover", None, 0.1)
        worker.page_fetched("shop", "not_modified", 0.1)
        server.bury(0)
    samples = server.samples()
    assert samples.total("covers_calls_total") == samples.total("covers_fetches_total") == 3


def test_what_a_worker_had_under_way_ends_with_it(server: Server) -> None:
    first, second = server.worker(), server.worker()
    for worker in (first, second):
        worker.flights_changed(+1)
        worker.waiters_changed(+1)
        worker.waiters_changed(+1)
        worker.store_bypassed()
    second.store_recovered()
    second.waiters_changed(-1)
    names = ("flights", "waiting", "memory_entries", "store_passed_over", "workers")
    assert [server.samples().total(f"covers_{name}") for name in names] == [2, 3, 20, 1, 2]
    server.bury(0)
    assert [server.samples().total(f"covers_{name}") for name in names] == [1, 1, 10, 0, 1]


def test_a_worker_that_was_killed_leaves_nothing_to_its_successor(server: Server) -> None:
    """Not even if nobody was told of its end."""
    server.worker().flights_changed(+1)
    server.rows.clear()
    server.worker()
    assert server.samples().total("covers_flights") == 0


def test_of_a_host_the_worker_that_has_heard_last_is_believed(server: Server) -> None:
    one, two = server.worker(), server.worker()

    def is_open(host: str = HOST) -> float:
        return server.samples()["covers_circuit_open", {"host": host}]

    one.host_state_changed(HOST, 61, 0)
    two.host_state_changed("other.example", 0, 0)
    assert (is_open(), is_open("other.example")) == (1, 0)
    server.clock.now += 1
    two.host_state_changed(HOST, 0, 0)
    assert is_open() == 0
    server.clock.now += 1
    one.host_state_changed(HOST, 61, 0)
    assert is_open() == 1
    server.clock.now += 61
    assert is_open() == 0


def test_a_host_that_asked_to_wait_shows_until_then(server: Server) -> None:
    worker = server.worker()
    labels = {"host": HOST}
    worker.host_state_changed(HOST, 0, 30)
    samples = server.samples()
    assert (samples["covers_host_throttled", labels], samples["covers_circuit_open", labels]) == (1, 0)
    server.clock.now += 30
    assert server.samples()["covers_host_throttled", labels] == 0


def test_a_clock_that_is_set_between_the_starts_of_two_workers_does_not_matter(server: Server) -> None:
    """Each goes on by the time of day at its start, so one of them is an hour ahead of the other."""

    def worker(ahead: float) -> HostHealth:
        def clock() -> float:
            return server.clock.now + ahead

        guard = CircuitBreakingStore[str](None, encode=str.encode, decode=bytes.decode, clock=clock)
        return HostHealth(shared=guard.namespace("@host:", HostState), clock=clock, observer=server.worker())

    def is_open() -> float:
        return server.samples()["covers_circuit_open", {"host": HOST}]

    ahead, behind = worker(3600), worker(0)
    for _ in range(FAILURE_THRESHOLD):
        ahead.record_failure(HOST, "it is down", was_trial=False)
    assert is_open() == 1
    server.clock.now += 100
    assert is_open() == 0
    for _ in range(FAILURE_THRESHOLD):
        behind.record_failure(HOST, "it is down", was_trial=False)
    assert is_open() == 1


def test_hosts_that_no_source_names_have_no_metric(server: Server) -> None:
    server.worker().host_state_changed("made-up.example", 2, 2)
    assert b"made-up" not in PrometheusCollector(server.board, monotonic=server.clock).exposition()


def test_the_lag_is_that_of_the_worst_worker(server: Server) -> None:
    for lag in (0.1, 0.7, 0.2):
        server.worker().record_hub_lag(lag=lag, due=server.clock.now + 0.25, entries=0)
    assert server.samples().total("covers_hub_lag_seconds") == 0.7


def test_a_worker_whose_beat_does_not_come_is_late(server: Server) -> None:
    """So one that is stuck shows in the answers of the others."""
    server.worker()
    server.clock.now += 20.25
    server.worker()
    assert server.samples().total("covers_hub_lag_seconds") == 20


def test_where_no_worker_beats_there_are_metrics_all_the_same(server: Server) -> None:
    samples = server.samples()
    assert samples.total("covers_workers") == samples.total("covers_hub_lag_seconds") == 0


def test_a_worker_that_does_not_leave_by_itself_has_died(server: Server) -> None:
    """One that is stuck has died as well, though it calls what one that leaves calls when it is made to end."""
    for row, (leaves, was_stuck) in enumerate([(True, False), (False, False), (True, True)]):
        server.worker()
        if leaves:
            clear_gauges(server.board, row)
        count_worker_exit(server.board, row, was_stuck=was_stuck)
    samples = server.samples()
    assert (samples.total("covers_workers_died_total"), samples.total("covers_workers")) == (2, 0)


def test_the_rest_is_counted_as_told(server: Server) -> None:
    worker = server.worker()
    worker.flight_joined()
    worker.store_operation_failed()
    worker.store_operation_failed()
    samples = server.samples()
    assert samples.total("covers_flights_shared_total") == 1
    assert samples.total("covers_store_failures_total") == 2
    assert samples.total("covers_build_info") == 1
