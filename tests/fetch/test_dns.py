"""DNS lookups."""

import os
import socket

import gevent
import pytest

from app.domain.errors import Overloaded
from app.fetch.dns import DnsResolver, SocketAddress

LOOPBACK: list[SocketAddress] = [(socket.AF_INET, ("127.0.0.1", 80))]


class FakeResolver:
    """Fakes the C library's resolver. Lookups of names that start with ``slow`` block until ``unblock`` is called."""

    def __init__(self) -> None:
        self.lookups: list[str] = []
        self._read_end, self._write_end = os.pipe()

    def __call__(self, host: str, port: int) -> list[SocketAddress]:
        self.lookups.append(host)
        if host.startswith("slow"):
            os.read(self._read_end, 1)  # blocks the thread, as getaddrinfo does
        if host.endswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, ("127.0.0.1", port))]

    def unblock(self) -> None:
        os.write(self._write_end, bytes(100))


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("127.0.0.1", (socket.AF_INET, ("127.0.0.1", 80))),
        ("::1", (socket.AF_INET6, ("::1", 80, 0, 0))),
    ],
)
def test_an_ip_literal_is_not_looked_up(host: str, target: SocketAddress) -> None:
    fake = FakeResolver()
    assert DnsResolver(fake).resolve(host, 80) == [target]
    assert not fake.lookups


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_other_notations_of_addresses_are_resolved_by_the_c_library(host: str) -> None:
    """It accepts numeric notations that ``ipaddress`` does not."""
    assert (socket.AF_INET, ("127.0.0.1", 80)) in DnsResolver().resolve(host, 80)


def test_slow_lookups_do_not_block_others() -> None:
    fake = FakeResolver()
    resolver = DnsResolver(fake)
    slow = [gevent.spawn(resolver.resolve, f"slow{number}", 80) for number in range(20)]
    gevent.sleep(0)
    with gevent.Timeout(5):
        assert resolver.resolve("quick", 80) == LOOPBACK
    assert not any(greenlet.ready() for greenlet in slow)
    fake.unblock()
    assert [greenlet.get() for greenlet in slow] == [LOOPBACK] * 20


def test_concurrent_lookups_of_one_name_are_shared() -> None:
    fake = FakeResolver()
    resolver = DnsResolver(fake)
    callers = [gevent.spawn(resolver.resolve, "slow", 80) for _ in range(5)]
    gevent.sleep(0)
    callers[0].kill()
    fake.unblock()
    assert [greenlet.get() for greenlet in callers[1:]] == [LOOPBACK] * 4
    assert fake.lookups == ["slow"]
    assert resolver.resolve("slow", 80) == LOOPBACK
    assert fake.lookups == ["slow", "slow"]


def test_each_caller_gets_an_exception_of_its_own() -> None:
    fake = FakeResolver()
    resolver = DnsResolver(fake)

    def resolve_unknown() -> OSError:
        with pytest.raises(socket.gaierror, match="not known") as caught:
            resolver.resolve("slow.unknown", 80)
        return caught.value

    callers = [gevent.spawn(resolve_unknown) for _ in range(2)]
    gevent.sleep(0)
    fake.unblock()
    first, second = (greenlet.get() for greenlet in callers)
    assert first is not second


def test_too_many_lookups_below_one_domain_are_overload() -> None:
    """That is the load of this service, not a failure of the host. Fails if it is an OSError, as of a host."""
    fake = FakeResolver()
    resolver = DnsResolver(fake)
    slow = [gevent.spawn(resolver.resolve, f"slow{number}.shop.example", 80) for number in range(8)]
    gevent.sleep(0)
    with pytest.raises(Overloaded, match=r"^too many DNS lookups below shop\.example are in progress$"):
        resolver.resolve("more.shop.example", 80)
    assert resolver.resolve("other.example", 80) == LOOPBACK
    fake.unblock()
    assert [greenlet.get() for greenlet in slow] == [LOOPBACK] * 8
    assert resolver.resolve("more.shop.example", 80) == LOOPBACK


def test_a_lookup_that_gets_no_thread_is_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the timeout of a page. Fails if the wait for a thread counts as time of the host."""
    monkeypatch.setattr("app.fetch.dns._MAX_WAIT", 0.01)
    fake = FakeResolver()
    resolver = DnsResolver(fake)
    slow = [gevent.spawn(resolver.resolve, f"slow{number}", 80) for number in range(32)]
    gevent.sleep(0)
    waiting = [gevent.spawn(resolver.resolve, "quick", 80) for _ in range(2)]
    for caller in waiting:
        with pytest.raises(
            Overloaded, match=r"^too many DNS lookups are in progress: the lookup of quick has not begun$"
        ):
            caller.get()
    assert "quick" not in fake.lookups
    fake.unblock()
    assert [greenlet.get() for greenlet in slow] == [LOOPBACK] * 32
    assert resolver.resolve("quick", 80) == LOOPBACK


@pytest.mark.parametrize("host", ["a" * 64, ".example.org", "a..b", "nosuch.invalid"])
def test_an_invalid_name_is_an_os_error(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        DnsResolver().resolve(host, 80)


def test_lookups_do_not_use_gevents_thread_pool() -> None:
    """That has ten threads for all work of the process."""
    fake = FakeResolver()
    resolver = DnsResolver(fake)
    slow = [gevent.spawn(resolver.resolve, f"slow{number}", 80) for number in range(20)]
    gevent.sleep(0)
    with gevent.Timeout(5):
        assert gevent.get_hub().threadpool.apply(abs, (-42,)) == 42
    fake.unblock()
    gevent.joinall(slow)
