"""``python -m app get`` against a running service."""

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
    """One origin for the module, with covers for items 1 to 9. Tests that block a page use a new item."""
    with Origin().serving() as started:
        for number in range(1, 10):
            started.item(number, cover(number))
        yield started


@pytest.fixture(scope="module")
def server(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the module, with one worker."""
    with run_service(tmp_path_factory.mktemp("server"), CONFIG.format(origin=origin.url)) as started:
        yield started


@pytest.fixture
def blocked_item(origin: Origin) -> tuple[str, Barrier]:
    """The id of an item that no other test uses, and the barrier that blocks its page."""
    item = next(IDS)
    origin.item(item, barrier := Barrier(cover(item)))
    return str(item), barrier


def url(origin: Origin, item: object) -> str:
    return f"{origin.url}/multimedia/audio_cd_covers/{item}.jpg"


def pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def test_covers_are_printed_in_the_order_of_the_ids(origin: Origin, server: Service) -> None:
    """One line each, also for ids that name their source, have spaces around them or are repeated."""
    result = run("get", "--url", server.url, "3", "ozon:1", " 2 ", "3")
    assert result == (0, "".join(f"{url(origin, item)}\n" for item in (3, 1, 2, 3)), "")


def test_an_id_without_a_cover_has_an_empty_line_and_an_error_message(origin: Origin, server: Service) -> None:
    """The lines of the output correspond to those of the input."""
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


def test_the_source_option_names_the_source(origin: Origin, server: Service) -> None:
    assert run("get", "--url", server.url, "--source", "ozon", "1") == (0, f"{url(origin, 1)}\n", "")
    status, out, err = run("get", "--url", server.url, "--source", "nosuch", "1")
    assert (status, out) == (1, "\n")
    assert "unknown source 'nosuch'" in err


def test_ids_are_read_from_standard_input(origin: Origin, server: Service) -> None:
    """Blank lines are skipped."""
    result = run("get", "--url", server.url, "-", stdin="\n2\r\n  \n ozon:1\t\n3")
    assert result == (0, "".join(f"{url(origin, item)}\n" for item in (2, 1, 3)), "")


def test_empty_input_succeeds() -> None:
    """Without a connection to the service."""
    assert run("get", "--url", "http://127.0.0.1:9/RPC2", "-") == (0, "", "")


def test_a_result_is_printed_before_the_next_id_is_read(origin: Origin, server: Service) -> None:
    """A program on the other end of the pipes can wait for each result."""
    with running("get", "--url", server.url, "-") as process:
        stdin, stdout = pipe(process.stdin), pipe(process.stdout)
        for item in (1, 2, 3):
            stdin.write(b"%d\n" % item)
            stdin.flush()
            assert stdout.readline().decode() == f"{url(origin, item)}\n"
        stdin.close()
        assert process.wait(10) == 0


def test_results_keep_the_order_of_the_ids(origin: Origin, server: Service, blocked_item: tuple[str, Barrier]) -> None:
    """A slow lookup delays only the printing of later results: earlier results are printed, later ids looked up."""
    slow, barrier = blocked_item
    later = str(next(IDS))
    origin.item(later, later_barrier := Barrier(cover(3)))
    later_barrier.go.set()
    with running("get", "--url", server.url, "--jobs", "2", "1", slow, "2", later) as process:
        stdout = pipe(process.stdout)
        assert stdout.readline().decode() == f"{url(origin, 1)}\n"
        assert later_barrier.reached.wait(10)
        assert not barrier.go.is_set()
        barrier.go.set()
        lines = stdout.read().decode().splitlines()
    assert lines == [url(origin, slow), url(origin, 2), url(origin, 3)]


def test_memory_does_not_grow_with_the_number_of_ids(server: Service) -> None:
    """10,000 ids are printed in order, and only those that were read ahead are in memory."""
    ids = [str(number % 9 + 1) for number in range(10_000)]
    with running("get", "--url", server.url, "--format", "jsonl", "-") as process:
        stdin, stdout = pipe(process.stdin), pipe(process.stdout)
        printed: list[str] = []

        def write(batch: list[str]) -> None:
            stdin.write("".join(f"{item}\n" for item in batch).encode())
            stdin.flush()

        def read(count: int) -> None:
            printed.extend(json.loads(stdout.readline())["id"] for _ in range(count))

        write(ids[:100])
        read(100)
        before = peak_memory(process.pid)
        writer = gevent.spawn(write, ids[100:])
        read(9_900)
        growth = peak_memory(process.pid) - before
        writer.get(timeout=10)
    assert printed == ids
    assert growth < 1_500


def peak_memory(pid: int) -> int:
    """Return the peak resident memory of a process (VmHWM) in kB."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


def test_the_help_is_printed_without_a_command() -> None:
    """As a usage error, since nothing was looked up."""
    status, out, err = run()
    assert (status, out) == (2, "")
    assert "    get       ask a running service for the covers of ids\n" in err


def test_a_line_that_is_too_long_ends_the_command(origin: Origin, server: Service) -> None:
    """After the results for the ids before it."""
    result = run("get", "--url", server.url, "-", stdin="1\n" + "x" * 100_000)
    error = "standard input: line 2: expected an id, got more than 65536 bytes\n"
    assert result == (2, f"{url(origin, 1)}\n", error)


@pytest.mark.parametrize("command", ["get", "explain"])
def test_an_unreachable_service_is_reported_in_one_line(server: Service, command: str) -> None:
    """Also a server that has no XML-RPC endpoint at the URL."""
    absent, elsewhere = "http://127.0.0.1:1/RPC2", server.url.replace("RPC2", "elsewhere")
    assert run(command, "--url", absent, "1") == (3, "", f"no service at {absent}: Connection refused\n")
    assert run(command, "--url", elsewhere, "1") == (3, "", f"no service at {elsewhere}: HTTP 404 Not Found\n")


@pytest.mark.parametrize("command", ["get", "explain"])
def test_an_invalid_url_is_a_usage_error(command: str) -> None:
    """Its exit status differs from that of an unreachable service, for which a retry may help."""
    error = "--url: expected a URL such as http://127.0.0.1:8080/RPC2, got 'localhost'\n"
    assert run(command, "--url", "localhost", "1") == (2, "", error)


def test_no_id_fails_while_the_service_restarts(origin: Origin, tmp_path: Path) -> None:
    """Its connections are closed, and for a while new ones are refused."""
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


def test_a_closed_output_ends_the_command_silently(origin: Origin, server: Service) -> None:
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


def test_a_full_disk_is_reported_in_one_line(server: Service) -> None:
    with Path("/dev/full").open("wb") as full, running("get", "--url", server.url, "1", stdout=full) as process:
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (1, b"[Errno 28] No space left on device\n")


@pytest.mark.parametrize("command", ["get", "explain"])
def test_ctrl_c_ends_the_command_while_it_waits_for_a_response(
    server: Service, command: str, blocked_item: tuple[str, Barrier]
) -> None:
    slow, barrier = blocked_item
    with running(command, "--url", server.url, slow) as process:
        assert barrier.reached.wait(10)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_ctrl_c_ends_the_command_while_it_waits_for_ids(server: Service) -> None:
    with running("get", "--url", server.url, "-") as process:
        stdin = pipe(process.stdin)
        stdin.write(b"1\n")
        stdin.flush()
        assert pipe(process.stdout).readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert pipe(process.stderr).read() == b""


def test_the_progress_bar_and_the_results_share_a_terminal(
    origin: Origin, server: Service, blocked_item: tuple[str, Barrier]
) -> None:
    """Results and error messages are printed above the bar, and the bar is removed at the end."""
    slow, barrier = blocked_item
    terminal = Terminal()
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.program)
    with running("get", "--url", server.url, "1", "404", slow, "2", **streams) as process:
        terminal.read_until("| 2/4 [")
        barrier.go.set()
        assert process.wait(10) == 1
    found, error, empty, *others = terminal.screen_lines()
    assert (found, empty, others) == (url(origin, 1), "", [url(origin, slow), url(origin, 2), ""])
    assert error.startswith("404: no such item: ")


def test_the_progress_bar_is_shown_while_the_output_is_redirected(origin: Origin, server: Service) -> None:
    """It has no total if ids come from standard input, and its clock runs while none arrive."""
    terminal = Terminal()
    with running("get", "--url", server.url, "-", stderr=terminal.program) as process:
        stdin, stdout = pipe(process.stdin), pipe(process.stdout)
        stdin.write(b"1\n")
        stdin.flush()
        terminal.read_until("1id [00:01")
        stdin.close()
        assert process.wait(10) == 0
        assert stdout.read().decode() == f"{url(origin, 1)}\n"
    assert terminal.screen_lines() == [""]


def test_the_progress_bar_is_shown_on_a_terminal_without_a_size(
    origin: Origin, server: Service, blocked_item: tuple[str, Barrier]
) -> None:
    """Such as that of a container, or a serial line."""
    slow, barrier = blocked_item
    terminal = Terminal(lines=0, columns=0)
    with running("get", "--url", server.url, "1", slow, stderr=terminal.program) as process:
        terminal.read_until("| 1/2 [")
        barrier.go.set()
        assert process.wait(10) == 0
        assert pipe(process.stdout).read().decode() == f"{url(origin, 1)}\n{url(origin, slow)}\n"
    assert terminal.screen_lines() == [""]


def test_no_progress_bar_is_shown_while_ids_are_typed(origin: Origin, server: Service) -> None:
    terminal = Terminal()
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), terminal.program)
    with running("get", "--url", server.url, "-", **streams) as process:
        terminal.type("1\n")
        terminal.read_until(".jpg")
        terminal.type("\x04")  # Ctrl-D
        assert process.wait(10) == 0
    assert terminal.screen_lines() == ["1", url(origin, 1), ""]
