"""A stateful test of the lookups of two workers, whose steps are taken in any order.

A greenlet of a worker stops at each of its steps. The steps are fetching a page, the request and the response of each
call of the store, and sleeping. The greenlet continues when a rule of the state machine takes the step. So the rules
decide in which order the steps of all greenlets are taken. Only the rules move the clock.

If the environment variable EXAMPLES is set, as in ``EXAMPLES=10000 pytest …``, that many examples run with random
seeds.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import gevent
import pytest
from gevent.event import Event
from greenlet import GreenletExit, getcurrent
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app.concurrency.deadline import Deadline
from app.config.source import Source
from app.domain.errors import InternalError, NoSuchItem, OriginFailed, Overloaded, Throttled, TooSlow
from app.domain.records import CacheStatus, CoverRecord, ItemId, LookupResult
from app.fetch.page_fetcher import Page, Validators
from app.lookup.service import LookupService, PendingLookup, StartedLookup
from app.lookup.single_flight import Flight
from app.store.base import Entry, Look, StoreError
from app.store.purge_log import allocate
from tests.store.dictionary import DictionaryStore, Shared
from tests.support.clock import ManualClock
from tests.support.lookup_harness import SHOP, LookupHarness
from tests.support.recording_observer import RecordingObserver

T = TypeVar("T")

EXAMPLES = int(os.environ.get("EXAMPLES", "0"))

ITEMS = [ItemId("shop", id_) for id_ in "aaaaaaab"]

WORKERS = 2

#: Seconds by which the clock moves at each step.
TICK = 0.001

#: The number of positive entries, and of negative entries, that fit into the memory of a worker. It is less than the
#: number of different items, so entries are evicted.
MEMORY_SIZE = 1

#: Durations in seconds by which a rule moves the clock. They end the lifetime of a fresh record, its grace, a lease, a
#: failure, and a record, or only a part of a lifetime.
PERIODS = [
    *([SHOP.ttl] * 4),
    *([SHOP.ttl + SHOP.grace] * 2),
    0.5,
    2.5,
    SHOP.error_ttl,
    SHOP.negative_ttl,
    SHOP.ttl + SHOP.keep,
]

#: The results that a fetch may have, each as often as its share. The result "unchanged" is a 304 if the request is
#: conditional, and otherwise a page.
RESPONSES = [
    *(["page"] * 4),
    *(["unchanged", "failed"] * 3),
    *(["no cover", "no such item", "throttled", "overloaded"] * 2),
    "bug",
]

#: The Retry-After of an origin that throttles, in seconds. It is longer than a record is kept.
RETRY_AFTER = 2 * SHOP.keep

#: The actions of the rule ``act``, each with its share. There is one rule for all of them, because hypothesis disables
#: some rules in each example. An example in which no time passes, or no lookup starts, tests little.
ACTIONS = Counter(
    start_lookup=14,
    finish_fetch=12,
    take_step=7,
    pass_time=7,
    forget=5,
    apply_invalidations=4,
    give_up=2,
    evict=1,
    evict_from_store=1,
    restart=1,
)


@dataclass(eq=False, slots=True)
class Fetch:
    """A request for a page. No two steps are taken at the same time of the clock, so a time identifies a fetch.

    ``response`` is the result that the rule chose. ``url`` is the URL of the cover on the page, and the text of the
    error begins with ``text``.
    """

    number: int
    item: ItemId
    worker: "Worker"
    flight: Flight[LookupResult]
    validators: Validators | None
    started_at: float
    finished_at: float | None = None
    response: str = ""
    url: str = ""
    text: str = ""

    @property
    def failure_lifetime(self) -> float:
        """The time in seconds after which the page may be requested again, if the fetch has failed."""
        return {"no cover": SHOP.negative_ttl, "throttled": RETRY_AFTER}.get(self.response, SHOP.error_ttl)


@dataclass(eq=False, slots=True)
class Step:
    """A step at which a greenlet of a worker waits. ``fetch`` is the fetch in progress, or None if it is another step.

    ``choice`` is what the rule chose that took the step.
    """

    worker: "Worker"
    kind: str
    fetch: Fetch | None = None
    event: Event = field(default_factory=Event)
    choice: str = ""


@dataclass(eq=False, slots=True)
class Lookup:
    """A lookup that waits for its result.

    ``forgotten_at`` is the time at which the item was last forgotten before the lookup started.
    """

    worker: "Worker"
    item: ItemId
    started: StartedLookup
    started_at: float
    forgotten_at: float


class Worker(LookupHarness):
    """A worker with its lookup service. The state machine controls its steps. ``part`` is its part of the purge log."""

    def __init__(self, machine: "Interleavings", part: int) -> None:
        super().__init__(
            clock=machine.clock,
            store=SteppedStore(machine.shared, self) if machine.has_store else None,
            sleep=self._take_sleep_step,
            purges=machine.purges,
            workers=part,
            observer=RecordingObserver(),
        )
        self.machine = machine
        self.part = part
        self.is_killed = False
        #: The time at which each item was last forgotten. This includes only purges that this worker must know.
        self.forgotten_at: dict[ItemId, float] = defaultdict(float)
        self.service: LookupService = self.lookup(memory_size=MEMORY_SIZE)
        self.flights = self.service._flights
        self.memory = self.service._repository._memory

    def _take_sleep_step(self, _seconds: float) -> None:
        self.machine.take_step(self, "sleep")

    def fetch(
        self,
        source: Source,
        url: str,
        deadline: Deadline,
        read: Callable[[Page], T],
        validators: Validators | None = None,
    ) -> T | None:
        """Return the result that a rule chose for the fetch. The cover of a page has a URL that no other page has."""
        item = ItemId("shop", url.rpartition("/")[2])
        fetch = self.machine.start_fetch(self, item, deadline, validators)
        fetch.response = self.machine.take_step(self, "fetch", fetch)
        fetch.finished_at = self.clock()
        fetch.text = f"{fetch.response} at fetch {fetch.number}."
        match fetch.response:
            case "overloaded":
                raise Overloaded(fetch.text)
            case "failed":
                raise OriginFailed(fetch.text)
            case "throttled":
                raise Throttled(fetch.text, RETRY_AFTER)
            case "no such item":
                raise NoSuchItem(fetch.text)
            case "bug":
                fetch.text = "internal error"
                raise ZeroDivisionError
            case "no cover":
                fetch.text = "no cover on the page"
                return read(Page(url=url, body=b"<p>nothing"))
            case "unchanged" if validators is not None:
                fetch.url = validators.etag
                return None
        name = f"/{fetch.number}.jpg"
        fetch.url = f"https://shop.example{name}"
        return read(Page(url=url, body=f'<img src="{name}">'.encode(), validators=Validators(etag=fetch.url)))


class SteppedStore(DictionaryStore):
    """The store of a worker. The request of a call is one step, and the response is another. Both may fail."""

    def __init__(self, shared: Shared, worker: Worker) -> None:
        super().__init__(shared)
        self.worker = worker

    def _call(self, kind: str, operation: Callable[[], T]) -> T:
        machine = self.worker.machine
        if machine.take_step(self.worker, f"{kind} request") == "failed":
            raise StoreError("the request was lost")
        result = operation()
        if machine.take_step(self.worker, f"{kind} response") == "failed":
            raise StoreError("the response was lost")
        return result

    def look(self, key: str, token: str, seconds: float, now: float) -> Look:
        def operation() -> Look:
            look = DictionaryStore.look(self, key, token, seconds, now)
            self.worker.machine.has_lease[getcurrent()] = look.has_lease
            if look.has_lease:
                self.worker.machine.holders[token] = self.worker
            return look

        return self._call("look", operation)

    def settle(self, key: str, token: str, entry: Entry | None, purge_number: int) -> bool:
        return self._call("settle", lambda: DictionaryStore.settle(self, key, token, entry, purge_number))

    def forget(self, key: str) -> bool:
        def operation() -> bool:
            self.worker.machine.forgets.append((self.worker.clock(), key))
            return DictionaryStore.forget(self, key)

        return self._call("forget", operation)

    def invalidations(self, since: str) -> tuple[str, list[str]]:
        def operation() -> tuple[int, tuple[str, list[str]]]:
            return len(self.worker.machine.forgets), DictionaryStore.invalidations(self, since)

        count, result = self._call("invalidations", operation)
        self.worker.machine.reads[getcurrent()] = count  # only if the response was not lost
        return result

    def renew_lease(self, key: str, token: str, seconds: float) -> bool:
        """Do nothing, because greenlets call this method by the real time. The action ``pass_time`` renews leases."""
        return True


class Interleavings(RuleBasedStateMachine):
    """The state machine. It has two workers, their lookups, and the steps at which greenlets wait."""

    has_store = True
    store_fails = False

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(1_700_000_000.0)
        #: The number of steps of the store until a greenlet waits at such a step.
        self.stop = 0
        self.shared = Shared(clock=self.clock)
        self.purges = allocate(WORKERS)
        self.steps: list[Step] = []
        self.fetches: list[Fetch] = []
        self.lookups: list[Lookup] = []
        self.background: list[gevent.Greenlet[..., Any]] = []
        self.flights: dict[int, Flight[LookupResult]] = {}
        #: By greenlet, whether its latest look has acquired the lease.
        self.has_lease: dict[Any, bool] = {}
        self.was_fetched_without_lease = False
        #: By token of a lease, the worker that acquired the lease.
        self.holders: dict[str, Worker] = {}
        #: The times of the purges, and the keys that were forgotten.
        self.forgets: list[tuple[float, str]] = []
        #: By greenlet, how many of ``forgets`` it has read.
        self.reads: dict[Any, int] = {}
        self.workers = [Worker(self, part) for part in range(WORKERS)]

    # Methods that the workers call.

    def take_step(self, worker: Worker, kind: str, fetch: Fetch | None = None) -> str:
        """Wait until a rule takes this step, and return what the rule chose. Raises GreenletExit in a killed worker.

        After each action of the rule, only one step of the store waits, the one with the number that the rule chose.
        """
        if not worker.is_killed:
            if fetch is None and kind != "sleep":
                self.stop -= 1
                if self.stop != 0:
                    return ""
            step = Step(worker, kind, fetch)
            self.steps.append(step)
            step.event.wait()
            self.steps.remove(step)
        if worker.is_killed:
            raise GreenletExit
        return step.choice

    def start_fetch(self, worker: Worker, item: ItemId, deadline: Deadline, validators: Validators | None) -> Fetch:
        """Record that a fetch starts, and check that its flight may fetch the page."""
        flight = self.flights[id(deadline)]
        if self.has_store and not self.store_fails and not self.has_lease[getcurrent()]:
            # An assertion here would be handled as a bug of the fetch.
            self.was_fetched_without_lease |= self.clock() < deadline.at + SHOP.timeout
        fetch = Fetch(len(self.fetches), item, worker, flight, validators, self.clock())
        self.fetches.append(fetch)
        return fetch

    @rule(
        action=st.sampled_from(sorted(ACTIONS.elements())),
        worker=st.integers(0, WORKERS - 1),
        item=st.sampled_from(ITEMS),
        number=st.integers(0, 99),
        response=st.sampled_from(RESPONSES),
        stop=st.sampled_from([0, 0, 0, 1, 2, 3, 4]),
    )
    def act(self, action: str, worker: int, item: ItemId, number: int, response: str, stop: int) -> None:
        """Take one action, and run all greenlets until each has ended or waits at a step.

        ``worker``, ``item`` and ``number`` select what the action applies to. ``response`` is the result of a fetch
        that ends. A greenlet waits at the step of the store with the number ``stop``; 0 means that none waits. If the
        action is not possible, a lookup starts.
        """
        self.clock.now += TICK
        self.stop = stop
        fetches = [step for step in self.steps if step.fetch is not None]
        if action == "finish_fetch" and fetches:
            self._resume(fetches[number % len(fetches)], response)
        elif action == "take_step" and self.steps:
            self._resume(self.steps[number % len(self.steps)], response)
        elif action == "pass_time":
            self._pass_time(PERIODS[number % len(PERIODS)], renews=stop == 0)
        elif action == "apply_invalidations":
            self.background.append(gevent.spawn(self._apply_invalidations, self.workers[worker]))
        elif action == "forget":
            self.background.append(gevent.spawn(self._forget, self.workers[worker], item))
        elif action == "give_up" and self.lookups:
            self._collect(self.lookups.pop(number % len(self.lookups)), gave_up=True)
        elif action == "evict":
            self.workers[worker].memory.forget(str(item))
        elif action == "evict_from_store":
            self.shared.values.pop(str(item), None)
        elif action == "restart":
            self._restart(self.workers[worker])
        else:
            self._start_lookup(self.workers[worker], item)
        self._run()

    def _start_lookup(self, worker: Worker, item: ItemId) -> None:
        started = worker.service.begin(item)
        flight = worker.flights._joinable.get(str(item))
        if flight is not None:
            self.flights[id(flight.deadline)] = flight
        lookup = Lookup(worker, item, started, self.clock(), worker.forgotten_at[item])
        if isinstance(started, PendingLookup):
            self.lookups.append(lookup)
        else:
            self._check_result(lookup, started)

    def _forget(self, worker: Worker, item: ItemId) -> None:
        began_at = self.clock()
        try:
            worker.service.forget(item)
        except Overloaded:
            assert self.store_fails
            return
        if not self.has_store:
            self.forgets.append((self.clock(), str(item)))
        worker.forgotten_at[item] = max(at for at, key in self.forgets if key == str(item) and began_at <= at)

    def _apply_invalidations(self, worker: Worker) -> None:
        self.reads[getcurrent()] = 0 if self.has_store else len(self.forgets)
        worker.service.apply_invalidations()
        for at, key in self.forgets[: self.reads[getcurrent()]]:
            item = ItemId("shop", key.partition(":")[2])
            worker.forgotten_at[item] = max(worker.forgotten_at[item], at)

    def _pass_time(self, seconds: float, *, renews: bool) -> None:
        """Let time pass. If ``renews`` is true, the workers renew their leases. Otherwise they are too busy."""
        for key, (token, expires_at) in self.shared.leases.items():
            if renews and expires_at > self.clock() and not self.holders[token].is_killed:
                self.shared.leases[key] = token, expires_at + seconds
        self.clock.now += seconds

    def _restart(self, worker: Worker) -> None:
        """Kill a worker, and replace it by a new one."""
        self._kill(worker)
        self.workers[worker.part] = Worker(self, worker.part)

    # Invariants.

    @invariant()
    def pages_are_fetched_with_a_lease(self) -> None:
        """A flight fetches a page only if the store granted it the lease, or if it has waited too long for the lease.

        A lease has one holder until it expires, so at most one fetch of an item is in progress per lease.
        """
        assert not self.was_fetched_without_lease

    @invariant()
    def one_flight_of_an_item_is_in_progress_per_worker(self) -> None:
        """A worker fetches the page of an item only once at a time.

        Fetches that were in progress when the item was forgotten do not count.
        """
        current = Counter((fetch.worker.part, fetch.item) for fetch in map(_current_fetch, self.steps) if fetch)
        assert all(count == 1 for count in current.values()), "one item is fetched twice at once"

    def teardown(self) -> None:
        """Take all steps until all greenlets have ended, and check that no flight, lookup or lease is left."""
        for _ in range(10_000):
            if not self.steps:
                break
            self.clock.now += TICK
            self._resume(self.steps[0], "page")
            self._run()
        for worker in self.workers:
            assert len(worker.flights) == 0, "a flight does not end"
            assert list(worker.flights) == []
            changes = worker.observer.arguments_of("waiters_changed")
            assert sum(change for (change,) in changes) == 0
        assert self.lookups == [], "a lookup has no result"
        assert all(greenlet.ready() for greenlet in self.background)
        if not self.store_fails:
            left = {token for token, _ in self.shared.leases.values()}
            assert all(self.holders[token].is_killed for token in left), "a lease was not released"
        for worker in self.workers:
            self._kill(worker)

    # Private methods.

    def _resume(self, step: Step, choice: str) -> None:
        step.choice = choice if step.fetch is not None or self.store_fails else ""
        step.event.set()

    def _run(self) -> None:
        """Run all greenlets until each waits at a step or has ended. Then check the lookups that have results."""
        for _ in range(8):
            gevent.sleep(0)
        for lookup in list(self.lookups):
            assert isinstance(lookup.started, PendingLookup)
            if lookup.started.result.is_set():
                self.lookups.remove(lookup)
                self._collect(lookup, gave_up=False)
        for greenlet in self.background:
            if greenlet.ready() and not greenlet.successful():
                greenlet.get()  # raises the exception

    def _kill(self, worker: Worker) -> None:
        worker.is_killed = True
        self.lookups = [lookup for lookup in self.lookups if lookup.worker is not worker]
        for step in [step for step in self.steps if step.worker is worker]:
            step.event.set()
        self._run()
        assert len(worker.flights) == 0

    def _collect(self, lookup: Lookup, *, gave_up: bool) -> None:
        try:
            result = lookup.worker.service.wait(lookup.started, self.clock())
        except TooSlow:
            assert gave_up
        except (Overloaded, InternalError):  # a failure of another kind is a record
            assert self._has_finished(lookup, "overloaded", "bug"), "the error of an earlier fetch is raised"
        else:
            self._check_result(lookup, result, gave_up=gave_up)

    def _check_result(self, lookup: Lookup, result: LookupResult, *, gave_up: bool = False) -> None:
        """Check the result of a lookup.

        Its page must have been requested after the item was last forgotten, and the result must not have expired.
        """
        record = result.record
        fetch = self._fetch_of(lookup.item, record)
        assert fetch.started_at > lookup.forgotten_at, "a forgotten record is returned"
        if record.is_found:
            assert record.url == fetch.url
            if record.error:
                failed = self._failed_fetch_of(lookup.item, record)
                assert failed.started_at > lookup.forgotten_at
        else:
            assert record.error.startswith(("internal error", fetch.text))
        self._check_lifetime(lookup, result, gave_up=gave_up)

    def _fetch_of(self, item: ItemId, record: CoverRecord) -> Fetch:
        (fetch,) = [fetch for fetch in self.fetches if fetch.finished_at == record.fetched_at and fetch.item == item]
        return fetch

    def _failed_fetch_of(self, item: ItemId, record: CoverRecord) -> Fetch:
        """Return the fetch whose failure set the time at which the record is due for a refresh."""
        assert record.not_before is not None
        (fetch,) = [
            fetch
            for fetch in self.fetches
            if fetch.item == item
            and fetch.finished_at is not None
            and abs(fetch.finished_at + fetch.failure_lifetime - record.not_before) < TICK / 2
            and record.error.startswith(fetch.text)
        ]
        return fetch

    def _check_lifetime(self, lookup: Lookup, result: LookupResult, *, gave_up: bool) -> None:
        record, start, end = result.record, lookup.started_at, self.clock()
        expires_at = record.fresh_until + (SHOP.grace + SHOP.keep if record.is_found else 0)
        if result.cache in {CacheStatus.MEMORY, CacheStatus.STORE}:
            assert start < record.fresh_until, "a stale record is reported as fresh"
        if result.cache is CacheStatus.STALE:
            assert record.is_found
            assert record.fresh_until <= end, "a fresh record is reported as stale"
            if start >= record.fresh_until + SHOP.grace:
                assert record.error or gave_up or self._has_finished(lookup, "overloaded"), "the page was not fetched"
        if not self.has_store:  # with a store, a record may expire while its call of ``settle`` waits for a step
            assert start < expires_at or record.fetched_at >= start, "an expired record is returned"

    def _has_finished(self, lookup: Lookup, *responses: str) -> bool:
        """Return whether a fetch of the item has had one of the responses since the lookup started."""
        return any(
            fetch.item == lookup.item
            and fetch.response in responses
            and fetch.finished_at is not None
            and fetch.finished_at >= lookup.started_at
            for fetch in self.fetches
        )


def _current_fetch(step: Step) -> Fetch | None:
    """Return the fetch in progress at this step, unless its item was forgotten or its worker was killed."""
    is_current = step.fetch is not None and step.fetch.flight.is_current and not step.worker.is_killed
    return step.fetch if is_current else None


class WithoutStore(Interleavings):
    """The workers have no store. They share only the purge log."""

    has_store = False


class FailingStore(Interleavings):
    """Requests to the store and responses of the store get lost."""

    store_fails = True


# If a test fails, hypothesis takes up to five minutes to shorten the example.
@pytest.mark.timeout(0 if EXAMPLES else 400)
@pytest.mark.parametrize("machine", [Interleavings, WithoutStore, FailingStore])
def test_in_any_order_of_steps_results_are_valid(machine: type[Interleavings]) -> None:
    """Each result is from a page that was requested after the item was last forgotten, and has not expired."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or 200,
            stateful_step_count=80,
            derandomize=not EXAMPLES,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
        ),
    )
