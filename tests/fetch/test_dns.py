"""The look-up of names."""

import os
import socket

import gevent
import pytest

from app.fetch.dns import DnsResolver, SocketAddress

HOME: list[SocketAddress] = [(socket.AF_INET, ("127.0.0.1", 80))]


class Stuck:
    """A resolver whose names starting with ``slow`` are not answered until ``go`` is called."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._wait, self._go = os.pipe()

    def __call__(self, host: str, port: int) -> list[SocketAddress]:
        self.asked.append(host)
        if host.startswith("slow"):
            os.read(self._wait, 1)  # blocks the thread, as the C library does
        if host.endswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, ("127.0.0.1", port))]

    def go(self) -> None:
        os.write(self._go, bytes(100))


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("127.0.0.1", (socket.AF_INET, ("127.0.0.1", 80))),
        ("::1", (socket.AF_INET6, ("::1", 80, 0, 0))),
    ],
)
def test_an_address_is_not_looked_up(host: str, target: SocketAddress) -> None:
    stuck = Stuck()
    assert DnsResolver(stuck).resolve(host, 80) == [target]
    assert not stuck.asked


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_what_is_no_address_is_the_c_librarys_to_read(host: str) -> None:
    """It takes numbers for addresses in forms that are easy to miss."""
    assert (socket.AF_INET, ("127.0.0.1", 80)) in DnsResolver().resolve(host, 80)


def test_ten_slow_names_hold_up_no_other() -> None:
    stuck = Stuck()
    names = DnsResolver(stuck)
    slow = [gevent.spawn(names.resolve, f"slow{number}", 80) for number in range(20)]
    gevent.sleep(0)
    with gevent.Timeout(5):
        assert names.resolve("quick", 80) == HOME
    assert not any(greenlet.ready() for greenlet in slow)
    stuck.go()
    assert [greenlet.get() for greenlet in slow] == [HOME] * 20


def test_those_who_ask_for_one_name_share_its_look_up() -> None:
    stuck = Stuck()
    names = DnsResolver(stuck)
    asking = [gevent.spawn(names.resolve, "slow", 80) for _ in range(5)]
    gevent.sleep(0)
    asking[0].kill()
    stuck.go()
    assert [greenlet.get() for greenlet in asking[1:]] == [HOME] * 4
    assert stuck.asked == ["slow"]
    assert names.resolve("slow", 80) == HOME
    assert stuck.asked == ["slow", "slow"]


def test_a_failure_reaches_each_who_asked_as_an_exception_of_its_own() -> None:
    stuck = Stuck()
    names = DnsResolver(stuck)

    def fails() -> OSError:
        with pytest.raises(socket.gaierror, match="not known") as caught:
            names.resolve("slow.unknown", 80)
        return caught.value

    asking = [gevent.spawn(fails) for _ in range(2)]
    gevent.sleep(0)
    stuck.go()
    first, second = (greenlet.get() for greenlet in asking)
    assert first is not second


@pytest.mark.parametrize("host", ["a" * 64, ".example.org", "a..b", "nosuch.invalid"])
def test_what_cannot_be_a_name_is_an_os_error(host: str) -> None:
    with pytest.raises(OSError, match=r"."):
        DnsResolver().resolve(host, 80)


def test_threads_are_not_gevents_own() -> None:
    """Those are ten, for all that is done in threads here."""
    stuck = Stuck()
    names = DnsResolver(stuck)
    slow = [gevent.spawn(names.resolve, f"slow{number}", 80) for number in range(20)]
    gevent.sleep(0)
    with gevent.Timeout(5):
        assert gevent.get_hub().threadpool.apply(abs, (-42,)) == 42
    stuck.go()
    gevent.joinall(slow)
