"""Events of several workers, counted and exported as Prometheus metrics."""

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
    """The shared counters of one server and the slots that its workers take."""

    def __init__(self) -> None:
        self.shared = SharedCounters.create(8)
        self.shared.add(LABELS.counter_keys())
        self.clock = ManualClock()
        self.taken_slots = set[int]()

    def start_worker(self) -> Counters:
        """Take a slot, record a tick of its hub, and return the observer of the worker."""
        slot = self.shared.free_slot(self.taken_slots)
        self.taken_slots.add(slot)
        worker = Counters(self.shared, slot, LABELS, monotonic=self.clock)
        worker.record_tick(lag=0, next_tick=self.clock.now + 0.25, memory_entries=10)
        return worker

    def stop_worker(self, slot: int) -> None:
        """Release the slot of a worker."""
        self.taken_slots.remove(slot)
        clear_gauges(self.shared, slot)

    def exposition(self) -> bytes:
        """Return what Prometheus scrapes."""
        return PrometheusCollector(self.shared, monotonic=self.clock).exposition()

    def samples(self) -> Samples:
        """Return the samples of a scrape."""
        return samples_in(self.exposition().decode())


@pytest.fixture
def server() -> Server:
    return Server()


def test_calls_of_all_workers_are_summed_by_method_and_fault(server: Server) -> None:
    for worker in (server.start_worker(), server.start_worker()):
        worker.call_finished("get_cover", None, 0.1)
        worker.call_finished("get_cover", 404, 0.1)
        worker.call_finished("", -32601, 0.1)
    samples = server.samples()
    for labels in ({"method": "get_cover", "fault": ""}, {"method": "get_cover", "fault": "404"}):
        assert samples["covers_calls_total", labels] == 2
    assert samples["covers_calls_total", {"method": "", "fault": "-32601"}] == 2
    assert samples.total("covers_calls_total") == 6


def test_unknown_fault_codes_are_counted_as_other(server: Server) -> None:
    """The number of label values is bounded."""
    worker = server.start_worker()
    for code in (1, 2, 3):
        worker.call_finished("get_cover", code, 0.1)
    assert server.samples()["covers_calls_total", {"method": "get_cover", "fault": "other"}] == 3


def test_a_cached_response_counts_as_a_call_and_a_lookup_from_memory(server: Server) -> None:
    worker = server.start_worker()
    worker.call_finished("get_cover", None, 0.1)
    worker.lookup_finished("shop", "found", "memory")
    count_cached_response = worker.cached_response_counter("shop", "get_cover")
    for _ in range(3):
        count_cached_response()
    samples = server.samples()
    assert samples["covers_calls_total", {"method": "get_cover", "fault": ""}] == 4
    assert samples["covers_lookups_total", {"source": "shop", "outcome": "found", "cache": "memory"}] == 4
    assert samples["covers_call_seconds_count", {"method": "get_cover"}] == 1


def test_a_cached_response_without_a_method_counts_as_a_lookup_only(server: Server) -> None:
    server.start_worker().cached_response_counter("shop", "")()
    samples = server.samples()
    assert samples.total("covers_calls_total") == 0
    assert samples.total("covers_lookups_total") == 1


def test_durations_are_counted_in_buckets(server: Server) -> None:
    for seconds in (0.0004, 0.001, 0.0011, 0.3, 11):
        server.start_worker().page_fetched("shop", "found", seconds)
    samples = server.samples()
    buckets = {
        bound: samples["covers_fetch_seconds_bucket", {"source": "shop", "le": bound}] for bound in EXPECTED_BUCKETS
    }
    assert buckets == EXPECTED_BUCKETS
    assert samples["covers_fetch_seconds_sum", {"source": "shop"}] == pytest.approx(11.3025)
    assert samples["covers_fetch_seconds_count", {"source": "shop"}] == 5


#: For some bounds, how many of the durations in the test above are at most as long.
EXPECTED_BUCKETS: Mapping[str, int] = {"0.001": 2, "0.0025": 3, "0.25": 3, "0.5": 4, "10.0": 4, "+Inf": 5}


def test_counts_are_kept_when_a_worker_ends_and_the_next_one_adds_to_them(server: Server) -> None:
    for _ in range(3):
        worker = server.start_worker()
        worker.call_finished("get_cover", None, 0.1)
        worker.page_fetched("shop", "not_modified", 0.1)
        server.stop_worker(0)
    samples = server.samples()
    assert samples.total("covers_calls_total") == samples.total("covers_fetches_total") == 3


def test_gauges_are_summed_and_those_of_an_ended_worker_are_not_included(server: Server) -> None:
    first, second = server.start_worker(), server.start_worker()
    for worker in (first, second):
        worker.flights_changed(+1)
        worker.waiters_changed(+1)
        worker.waiters_changed(+1)
        worker.store_bypassed()
    second.store_recovered()
    second.waiters_changed(-1)
    names = ("flights", "waiting", "memory_entries", "store_passed_over", "workers")
    assert [server.samples().total(f"covers_{name}") for name in names] == [2, 3, 20, 1, 2]
    server.stop_worker(0)
    assert [server.samples().total(f"covers_{name}") for name in names] == [1, 1, 10, 0, 1]


def test_a_worker_does_not_inherit_the_gauges_of_a_killed_worker(server: Server) -> None:
    """Not even if they were not cleared when it was killed."""
    server.start_worker().flights_changed(+1)
    server.taken_slots.clear()
    server.start_worker()
    assert server.samples().total("covers_flights") == 0


def test_the_latest_update_of_a_hosts_state_counts(server: Server) -> None:
    first, second = server.start_worker(), server.start_worker()

    def is_open(host: str = HOST) -> float:
        return server.samples()["covers_circuit_open", {"host": host}]

    first.host_state_changed(HOST, 61, 0)
    second.host_state_changed("other.example", 0, 0)
    assert (is_open(), is_open("other.example")) == (1, 0)
    server.clock.now += 1
    second.host_state_changed(HOST, 0, 0)
    assert is_open() == 0
    server.clock.now += 1
    first.host_state_changed(HOST, 61, 0)
    assert is_open() == 1
    server.clock.now += 61
    assert is_open() == 0


def test_a_host_is_throttled_until_the_wait_it_asked_for_is_over(server: Server) -> None:
    worker = server.start_worker()
    labels = {"host": HOST}
    worker.host_state_changed(HOST, 0, 30)
    samples = server.samples()
    assert (samples["covers_host_throttled", labels], samples["covers_circuit_open", labels]) == (1, 0)
    server.clock.now += 30
    assert server.samples()["covers_host_throttled", labels] == 0


def test_workers_whose_clocks_differ_agree_on_a_hosts_state(server: Server) -> None:
    """Each worker reads the wall clock at its start, so one that started before the clock was set back is ahead."""

    def host_health(offset: float) -> HostHealth:
        def clock() -> float:
            return server.clock.now + offset

        store = CircuitBreakingStore[str](None, encode=str.encode, decode=bytes.decode, clock=clock)
        shared = store.namespace("@host:", HostState)
        return HostHealth(HOST, shared=shared, clock=clock, observer=server.start_worker())

    def is_open() -> float:
        return server.samples()["covers_circuit_open", {"host": HOST}]

    ahead, behind = host_health(offset=3600), host_health(offset=0)
    for _ in range(FAILURE_THRESHOLD):
        ahead.record_failure("it is down", was_probe=False)
    assert is_open() == 1
    server.clock.now += 100
    assert is_open() == 0
    for _ in range(FAILURE_THRESHOLD):
        behind.record_failure("it is down", was_probe=False)
    assert is_open() == 1


def test_hosts_that_no_source_names_have_no_metric(server: Server) -> None:
    server.start_worker().host_state_changed("made-up.example", 2, 2)
    assert b"made-up" not in server.exposition()


def test_the_hub_lag_is_the_largest_of_all_workers(server: Server) -> None:
    for lag in (0.1, 0.7, 0.2):
        server.start_worker().record_tick(lag=lag, next_tick=server.clock.now + 0.25, memory_entries=0)
    assert server.samples().total("covers_hub_lag_seconds") == 0.7


def test_an_overdue_tick_of_a_worker_counts_as_hub_lag(server: Server) -> None:
    """So a scrape of any worker shows that another one is stuck."""
    server.start_worker()
    server.clock.now += 20.25
    server.start_worker()
    assert server.samples().total("covers_hub_lag_seconds") == 20


def test_metrics_are_exported_even_without_a_running_worker(server: Server) -> None:
    samples = server.samples()
    assert samples.total("covers_workers") == samples.total("covers_hub_lag_seconds") == 0


def test_a_worker_that_was_killed_or_stuck_counts_as_died(server: Server) -> None:
    """A stuck worker clears its gauges when the master aborts it, as one that shuts down does."""
    for slot, (clears_gauges, was_stuck) in enumerate([(True, False), (False, False), (True, True)]):
        server.start_worker()
        if clears_gauges:
            clear_gauges(server.shared, slot)
        count_worker_exit(server.shared, slot, was_stuck=was_stuck)
    samples = server.samples()
    assert (samples.total("covers_workers_died_total"), samples.total("covers_workers")) == (2, 0)


def test_counters_without_labels_are_exported(server: Server) -> None:
    worker = server.start_worker()
    worker.flight_joined()
    worker.store_operation_failed()
    worker.store_operation_failed()
    for _ in range(3):
        worker.store_overloaded()
    samples = server.samples()
    assert samples.total("covers_flights_shared_total") == 1
    assert samples.total("covers_store_failures_total") == 2
    assert samples.total("covers_store_overloads_total") == 3
    assert samples.total("covers_build_info") == 1
