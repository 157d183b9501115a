"""``python -m app explain`` against a running service."""

import re
from collections.abc import Iterator

import pytest

from tests.support.command import run
from tests.support.scripted_origin import Origin, cover, page
from tests.support.service import CONFIG, Service, run_service


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin().serving() as started:
        started.item(1, cover(1))
        started.item(2, page("<p>nothing here"))
        yield started


@pytest.fixture(scope="module")
def server(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with run_service(tmp_path_factory.mktemp("server"), CONFIG.format(origin=origin.url)) as started:
        yield started


def test_the_record_of_a_cover_is_printed(origin: Origin, server: Service) -> None:
    """One field per line, without empty fields."""
    status, out, err = run("explain", "--url", server.url, "1")
    assert (status, err) == (0, "")
    times = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    assert re.fullmatch(
        rf"""outcome      found
url          {origin.url}/multimedia/audio_cd_covers/1\.jpg
source       ozon
page_url     {origin.url}/context/detail/id/1
final_url    {origin.url}/context/detail/id/1
status       200
rule         regex \S+
fetched_at   {times}, \d seconds? ago
fresh_until  {times}, in \d\d days
cache        fetched
""",
        out,
    )


def test_the_record_of_an_item_without_a_cover_is_printed(server: Service) -> None:
    """With each extraction rule that did not match."""
    status, out, err = run("explain", "--url", server.url, "--source", "ozon", "2")
    assert (status, err) == (1, "")
    fields = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert fields["outcome"] == "no_cover"
    assert fields["misses"].startswith("regex (/multimedia/")
    assert "url" not in fields


def test_an_invalid_id_is_reported_on_standard_error(server: Service) -> None:
    status, out, err = run("explain", "--url", server.url, "nosuch:1")
    assert (status, out) == (1, "")
    assert re.fullmatch(r"nosuch:1: 'nosuch:1' is no id of ozon, .* \(fault -32602\)\n", err)
