"""A store that is corrupt, unreachable or hanging costs speed, but no call fails."""

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.store_services import URL, config, in_each_worker
from tests.store.redis_server import serving_redis
from tests.support.scripted_origin import Origin, cover
from tests.support.service import CONFIG, run_service


def test_a_redis_that_hangs_and_restarts_fails_no_call(
    origin: Origin, require: Callable[[str], str], tmp_path: Path
) -> None:
    """The first lookups take a second longer at most. After the restart, covers are shared again."""
    origin.default = cover(7)
    url = URL.format(origin=origin.url)

    def time_lookups(number: int) -> float:
        started_at = time.monotonic()
        assert set(in_each_worker(server, "get_cover", number, calls=8)) == {url}
        return time.monotonic() - started_at

    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(serving_redis(require("redis-server"), tmp_path))
        server = stack.enter_context(run_service(tmp_path, config(origin, redis.url), workers=2))
        time_lookups(200)
        redis.freeze()
        assert max(time_lookups(number) for number in (201, 202, 203)) < 2
        redis.kill()
        time_lookups(204)
        redis.start()
        number, deadline = 205, time.monotonic() + 15
        while True:
            before = len(origin.requests)
            time_lookups(number)
            if len(origin.requests) - before == 1 and in_each_worker(server, "explain_cover", number, calls=1):
                break
            assert time.monotonic() < deadline, "covers are not shared again"
            number += 1


def test_a_redis_that_is_full_still_has_its_covers(
    origin: Origin, require: Callable[[str], str], tmp_path: Path
) -> None:
    """The stored covers are still read. New ones cannot be stored, so each worker fetches them.

    This test fails if a refused write opens the circuit breaker for reads.
    """
    origin.default = cover(7)
    url = URL.format(origin=origin.url)
    with serving_redis(require("redis-server"), tmp_path) as redis:
        text = config(origin, redis.url)
        with run_service(tmp_path, text) as server:
            server.client().get_covers(list(range(300, 320)))
        redis.execute("CONFIG", "SET", "maxmemory", "1")
        with run_service(tmp_path, text) as server:
            for number in range(300, 320):
                assert server.client().get_cover(number) == server.client().get_cover(number + 100) == url
            log = server.log.read_text()
    assert all(origin.request_count(number) == 1 for number in (*range(300, 320), *range(400, 420)))
    assert log.count("nothing is written to the store") == 1
    assert "the store is bypassed" not in log


def test_a_corrupt_database_is_replaced(origin: Origin, tmp_path: Path) -> None:
    origin.item(48, cover(7))
    database = tmp_path / "covers.db"
    database.write_bytes(b"this is no database" * 1000)
    with run_service(tmp_path, config(origin, f"sqlite:{database}"), workers=4) as server:
        assert set(in_each_worker(server, "get_cover", 48)) == {URL.format(origin=origin.url)}
    assert origin.request_count(48) == 1, "the workers share the new database"
    assert len(list(tmp_path.glob("covers.db.broken-*"))) == 1


def test_a_database_that_cannot_be_created_is_bypassed(origin: Origin, tmp_path: Path) -> None:
    origin.item(49, cover(7))
    (tmp_path / "file").write_text("no folder")
    with run_service(tmp_path, config(origin, f"sqlite:{tmp_path}/file/covers.db")) as server:
        assert server.client().get_cover(49) == URL.format(origin=origin.url)
        assert "the store is bypassed" in server.log.read_text()


def test_the_default_store_is_in_the_working_directory(origin: Origin, tmp_path: Path) -> None:
    """It is var/covers.db."""
    origin.item(50, cover(7))
    text = CONFIG.format(origin=origin.url).replace('store = "none"\n', "")
    with run_service(tmp_path, text, directory=tmp_path) as server:
        server.client().get_cover(50)
    assert (tmp_path / "var" / "covers.db").is_file()


def test_a_hanging_redis_does_not_delay_a_lookup(origin: Origin, tmp_path: Path) -> None:
    origin.item(51, cover(7))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with run_service(tmp_path, config(origin, url)) as server:
            client = server.client()
            client.list_sources()
            started_at = time.monotonic()
            assert client.get_cover(51) == URL.format(origin=origin.url)
            assert time.monotonic() - started_at < 1.5
