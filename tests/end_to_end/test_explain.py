"""``python -m app explain``: what a running service knows of one id."""

import re
from collections.abc import Iterator

import pytest

from tests.support.command import run
from tests.support.scripted_origin import Origin, cover, page
from tests.support.service import CONFIG, Service, run_service


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin().serving() as served:
        served.item(1, cover(1))
        served.item(2, page("<p>nothing here"))
        yield served


@pytest.fixture(scope="module")
def server(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with run_service(tmp_path_factory.mktemp("server"), CONFIG.format(origin=origin.url)) as served:
        yield served


def test_the_record_of_a_cover_is_told(origin: Origin, server: Service) -> None:
    """Field by field, one below the other, without those that do not apply."""
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


def test_the_record_of_an_item_without_one_is_told(server: Service) -> None:
    """With each rule that was tried in vain."""
    status, out, err = run("explain", "--url", server.url, "--source", "ozon", "2")
    assert (status, err) == (1, "")
    fields = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert fields["outcome"] == "no_cover"
    assert fields["misses"].startswith("regex (/multimedia/")
    assert "url" not in fields


def test_an_id_that_cannot_be_looked_up_is_a_complaint(server: Service) -> None:
    status, out, err = run("explain", "--url", server.url, "nosuch:1")
    assert (status, out) == (1, "")
    assert re.fullmatch(r"nosuch:1: 'nosuch:1' is no id of ozon, .* \(fault -32602\)\n", err)
