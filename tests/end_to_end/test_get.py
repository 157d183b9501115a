"""``python -m app get``: the covers of many ids, from a running service."""

import csv
import itertools
import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import gevent
import pytest

from tests.support.command import run, running
from tests.support.scripted_origin import Barrier, Origin, cover
from tests.support.service import CONFIG, Service, run_service
from tests.support.terminal import Terminal

IDS = itertools.count(1_000_000)


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """One origin for the module, which has covers for 1 to 9; what a test holds is an item of its own."""
    with Origin().serving() as served:
        for number in range(1, 10):
            served.item(number, cover(number))
        yield served


@pytest.fixture(scope="module")
def server(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the module, with one worker."""
    with run_service(tmp_path_factory.mktemp("server"), CONFIG.format(origin=origin.url)) as served:
        yield served


@pytest.fixture
def held(origin: Origin) -> tuple[str, Barrier]:
    """An item that no other test has, and the hold of its page."""
    item = next(IDS)
    origin.item(item, hold := Barrier(cover(item)))
    return str(item), hold


def url(origin: Origin, item: object) -> str:
    return f"{origin.url}/multimedia/audio_cd_covers/{item}.jpg"


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def test_covers_are_printed_in_the_order_of_their_ids(origin: Origin, server: Service) -> None:
    """A line each; ints, texts, ids that name their source, and those that come twice."""
    told = run("get", "--url", server.url, "3", "ozon:1", " 2 ", "3")
    assert told == (0, "".join(f"{url(origin, item)}\n" for item in (3, 1, 2, 3)), "")


def test_an_id_without_a_cover_is_an_empty_line_and_a_complaint(origin: Origin, server: Service) -> None:
    """So lines stay side by side with those of the ids."""
    status, out, err = run("get", "--url", server.url, "1", "404", "x", "2")
    assert (status, out) == (1, f"{url(origin, 1)}\n\n\n{url(origin, 2)}\n")
    missing, wrong = err.splitlines()
    assert missing.startswith("404: no such item: ")
    assert missing.endswith(" (fault 404)")
    assert wrong.startswith("x: 'x' is no id of ozon")
    assert wrong.endswith(" (fault -32602)")


def test_jsonl_has_an_object_for_each_id(origin: Origin, server: Service) -> None:
    status, out, err = run("get", "--url", server.url, "--format", "jsonl", "1", "ü")
    found, wrong = map(json.loads, out.splitlines())
    assert (status, err) == (1, "")
    assert found == {"id": "1", "url": url(origin, 1)}
    assert wrong == {"id": "ü", "error": {"code": -32602, "text": r"'ü' is no id of ozon: expected \d{1,19}"}}


def test_csv_has_a_row_for_each_id_below_a_header(origin: Origin, server: Service) -> None:
    status, out, err = run("get", "--url", server.url, "--format", "csv", "1", "x,y")
    found, wrong = csv.DictReader(out.splitlines())
    assert (status, err, len(out.splitlines())) == (1, "", 3)
    assert found == {"id": "1", "url": url(origin, 1), "code": "", "text": ""}
    assert wrong == {
        "id": "x,y", "url": "", "code": "-32602", "text": r"'x,y' is no id of ozon: expected \d{1,19}"
    }  # fmt: skip


def test_a_source_is_asked_for_by_its_name(origin: Origin, server: Service) -> None:
    assert run("get", "--url", server.url, "--source", "ozon", "1") == (0, f"{url(origin, 1)}\n", "")
    status, out, err = run("get", "--url", server.url, "--source", "nosuch", "1")
    assert (status, out) == (1, "\n")
    assert "unknown source 'nosuch'" in err


def test_ids_come_from_standard_input(origin: Origin, server: Service) -> None:
    """Lines without an id have no line."""
    told = run("get", "--url", server.url, "-", stdin="\n2\r\n  \n ozon:1\t\n3")
    assert told == (0, "".join(f"{url(origin, item)}\n" for item in (2, 1, 3)), "")


def test_no_ids_are_all_found() -> None:
    """And nobody is asked for them."""
    assert run("get", "--url", "http://127.0.0.1:9/RPC2", "-") == (0, "", "")


def test_an_answer_comes_before_the_next_id_does(origin: Origin, server: Service) -> None:
    """Whoever talks with it over pipes can wait for each."""
    with running("get", "--url", server.url, "-") as process:
        stdin, stdout = pipe(process.stdin), pipe(process.stdout)
        for item in (1, 2, 3):
            stdin.write(b"%d\n" % item)
            stdin.flush()
            assert stdout.readline().decode() == f"{url(origin, item)}\n"
        stdin.close()
        assert process.wait(10) == 0


def test_the_order_holds_though_the_first_answers_last(
    origin: Origin, server: Service, held: tuple[str, Barrier]
) -> None:
    """What stands before a slow one is printed, what stands behind it is asked for and waits."""
    slow, hold = held
    later = str(next(IDS))
    origin.item(later, behind := Barrier(cover(3)))
    behind.go.set()
    with running("get", "--url", server.url, "--jobs", "2", "1", slow, "2", later) as process:
        stdout = pipe(process.stdout)
        assert stdout.readline().decode() == f"{url(origin, 1)}\n"
        assert behind.asked.wait(10)
        assert not hold.go.is_set()
        hold.go.set()
        lines = stdout.read().decode().splitlines()
    assert lines == [url(origin, slow), url(origin, 2), url(origin, 3)]


def test_ten_thousand_ids_are_not_kept_in_memory(server: Service) -> None:
    """They are answered in their order, and take no more of it than those that are asked for meanwhile."""
    ids = [str(number % 9 + 1) for number in range(10_000)]
    with running("get", "--url", server.url, "--format", "jsonl", "-") as process:
        stdin, stdout = pipe(process.stdin), pipe(process.stdout)
        answered: list[str] = []

        def feed(some: list[str]) -> None:
            stdin.write("".join(f"{item}\n" for item in some).encode())
            stdin.flush()

        def read(count: int) -> None:
            answered.extend(json.loads(stdout.readline())["id"] for _ in range(count))

        feed(ids[:100])
        read(100)
        before = peak_memory(process.pid)
        feeding = gevent.spawn(feed, ids[100:])
        read(9_900)
        grown = peak_memory(process.pid) - before
        feeding.get(timeout=10)
    assert answered == ids
    assert grown < 1_500


def peak_memory(pid: int) -> int:
    """Return the most memory that a process has had, in kilobytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


def test_without_a_command_it_says_what_there_is() -> None:
    """Which is no answer to what somebody meant by it."""
    status, out, err = run()
    assert (status, out) == (2, "")
    assert "    get       ask a running service for the covers of ids\n" in err


def test_a_line_that_is_no_id_ends_it(origin: Origin, server: Service) -> None:
    """After the answers to the ids before it."""
    told = run("get", "--url", server.url, "-", stdin="1\n" + "x" * 100_000)
    complaint = "standard input: line 2: expected an id, got more than 65536 bytes\n"
    assert told == (2, f"{url(origin, 1)}\n", complaint)


@pytest.mark.parametrize("command", ["get", "explain"])
def test_where_no_service_is_that_is_told_in_a_line(server: Service, command: str) -> None:
    """As it is where no XML-RPC is answered."""
    absent, elsewhere = "http://127.0.0.1:1/RPC2", server.url.replace("RPC2", "elsewhere")
    assert run(command, "--url", absent, "1") == (3, "", f"no service at {absent}: Connection refused\n")
    assert run(command, "--url", elsewhere, "1") == (3, "", f"no service at {elsewhere}: HTTP 404 Not Found\n")


@pytest.mark.parametrize("command", ["get", "explain"])
def test_a_url_that_is_none_is_wrong_usage(command: str) -> None:
    """And no service that is away: to try again later is of no use."""
    complaint = "--url: expected a URL such as http://127.0.0.1:8080/RPC2, got 'localhost'\n"
    assert run(command, "--url", "localhost", "1") == (2, "", complaint)


def test_no_id_fails_when_the_service_is_started_anew(origin: Origin, tmp_path: Path) -> None:
    """Its connections are closed, and for a while nobody listens."""
    config = CONFIG.format(origin=origin.url)
    with ExitStack() as stack:
        with run_service(tmp_path, config) as first:
            process = stack.enter_context(running("get", "--url", first.url, "-"))
            stdin, stdout = pipe(process.stdin), pipe(process.stdout)
            stdin.write(b"1\n")
            stdin.flush()
            assert stdout.readline().decode() == f"{url(origin, 1)}\n"
        stdin.write(b"2\n3\n")
        stdin.close()
        with run_service(tmp_path, config, port=first.port):
            assert stdout.read().decode() == f"{url(origin, 2)}\n{url(origin, 3)}\n"
            assert process.wait(10) == 0


def test_who_has_seen_enough_ends_it_quietly(origin: Origin, server: Service) -> None:
    with running("get", "--url", server.url, "-") as process:
        stdin, stdout = pipe(process.stdin), pipe(process.stdout)
        stdin.write(b"1\n")
        stdin.flush()
        assert stdout.readline().decode() == f"{url(origin, 1)}\n"
        stdout.close()
        stdin.write(b"2\n")
        stdin.flush()
        assert process.wait(10) == 141
        assert pipe(process.stderr).read() == b""


def test_a_full_disk_is_told_in_a_line(server: Service) -> None:
    with Path("/dev/full").open("wb") as full, running("get", "--url", server.url, "1", stdout=full) as process:
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (1, b"[Errno 28] No space left on device\n")


@pytest.mark.parametrize("command", ["get", "explain"])
def test_ctrl_c_ends_it_while_it_waits_for_an_answer(server: Service, command: str, held: tuple[str, Barrier]) -> None:
    slow, hold = held
    with running(command, "--url", server.url, slow) as process:
        assert hold.asked.wait(10)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_ctrl_c_ends_it_while_it_waits_for_ids(server: Service) -> None:
    with running("get", "--url", server.url, "-") as process:
        stdin = pipe(process.stdin)
        stdin.write(b"1\n")
        stdin.flush()
        assert pipe(process.stdout).readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert pipe(process.stderr).read() == b""


def test_the_bar_and_the_answers_share_a_terminal(origin: Origin, server: Service, held: tuple[str, Barrier]) -> None:
    """Answers and complaints stand above it, and nothing is left of it at the end."""
    slow, hold = held
    terminal = Terminal()
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.program)
    with running("get", "--url", server.url, "1", "404", slow, "2", **streams) as process:
        terminal.until("| 2/4 [")
        hold.go.set()
        assert process.wait(10) == 1
    found, complaint, empty, *others = terminal.lines()
    assert (found, empty, others) == (url(origin, 1), "", [url(origin, slow), url(origin, 2), ""])
    assert complaint.startswith("404: no such item: ")


def test_the_bar_counts_on_while_the_answers_go_elsewhere(origin: Origin, server: Service) -> None:
    """Ids that come from standard input have no total; its clock runs while there are none."""
    terminal = Terminal()
    with running("get", "--url", server.url, "-", stderr=terminal.program) as process:
        stdin, stdout = pipe(process.stdin), pipe(process.stdout)
        stdin.write(b"1\n")
        stdin.flush()
        terminal.until("1id [00:01")
        stdin.close()
        assert process.wait(10) == 0
        assert stdout.read().decode() == f"{url(origin, 1)}\n"
    assert terminal.lines() == [""]


def test_a_terminal_without_a_size_has_a_bar_too(origin: Origin, server: Service, held: tuple[str, Barrier]) -> None:
    """As that of a container, or a serial line."""
    slow, hold = held
    terminal = Terminal(lines=0, columns=0)
    with running("get", "--url", server.url, "1", slow, stderr=terminal.program) as process:
        terminal.until("| 1/2 [")
        hold.go.set()
        assert process.wait(10) == 0
        assert pipe(process.stdout).read().decode() == f"{url(origin, 1)}\n{url(origin, slow)}\n"
    assert terminal.lines() == [""]


def test_ids_can_be_typed(origin: Origin, server: Service) -> None:
    """No bar stands in the way of that."""
    terminal = Terminal()
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.program)
    with running("get", "--url", server.url, "-", **streams) as process:
        terminal.type("1\n")
        terminal.until(".jpg")
        terminal.type("\x04")  # Ctrl-D
        assert process.wait(10) == 0
    assert terminal.lines() == ["1", url(origin, 1), ""]
