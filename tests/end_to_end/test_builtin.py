"""The built-in sources, unchanged except that their URLs point to scripted origins."""

import json
import xmlrpc.client
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.scripted_origin import Behaviour, Origin, page, redirect
from tests.support.service import Service, run_service

MBID = "76df3287-6cda-33eb-8e9a-044b5e15ffdd"
ISBN = "/api/books?bibkeys=ISBN:{}&format=json&jscmd=data"

#: The request target of each source's pages.
PATHS = {
    "ozon": "/context/detail/id/{id}",
    "caa": "/release/{id}",
    "openlibrary": ISBN.format("{id}"),
    "deezer": "/album/{id}",
    "itunes": "/lookup?id={id}",
}


def json_page(value: Any, **more: Any) -> Behaviour:
    return page(json.dumps(value), headers={"Content-Type": "application/json"}, **more)


@pytest.fixture(scope="module")
def origins() -> Iterator[dict[str, Origin]]:
    """An origin for each source and one for the targets of redirects, since limits and failures apply per host."""
    names = [*PATHS, "page", "archive"]
    with ExitStack() as stack:
        yield {name: stack.enter_context(Origin().serving()) for name in names}


@pytest.fixture(scope="module")
def service(origins: dict[str, Origin], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the built-in sources, each at its origin."""
    tables = [
        f'[sources.{name}]\npage_url = "{origins[name].url}{path}"\nprivate_network = true\ndelay = 0\nerror_ttl = 0\n'
        for name, path in PATHS.items()
    ]
    redirects = 'allowed_hosts = ["localhost"]\n'
    tables[list(PATHS).index("caa")] += redirects
    tables.append('[sources.page]\nallowed_hosts = ["127.0.0.1"]\nprivate_network = true\n')
    with run_service(tmp_path_factory.mktemp("service"), 'store = "none"\n' + "\n".join(tables)) as running:
        yield running


def fault_code(service: Service, item: str) -> int:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        service.client().get_cover(item)
    return caught.value.faultCode


def test_all_built_in_sources_are_listed(service: Service) -> None:
    assert {source["name"] for source in service.client().list_sources()} == {*PATHS, "page"}


def test_ozon(origins: dict[str, Origin], service: Service) -> None:
    origins["ozon"].item(1, page('<img src="/multimedia/audio_cd_covers/7.jpg">'))
    assert service.client().get_cover(1) == f"{origins['ozon'].url}/multimedia/audio_cd_covers/7.jpg"


def test_the_cover_art_archive_with_its_redirects(origins: dict[str, Origin], service: Service) -> None:
    """The first is to archive.org, the second to one of its servers. The cover is handed out as https."""
    caa, archive = origins["caa"], origins["archive"]
    picture = "http://coverartarchive.org/release/x/829521842.jpg"
    elsewhere = f"http://localhost:{archive.port}"
    caa.pages[f"/release/{MBID}"] = redirect(f"{elsewhere}/download/index.json", "307 Temporary Redirect")
    archive.pages["/download/index.json"] = redirect(f"{elsewhere}/28/items/index.json")
    archive.pages["/28/items/index.json"] = json_page(
        {
            "images": [
                {"types": ["Back"], "front": False, "image": "http://x.example/back.jpg", "thumbnails": {}, "id": 1},
                {"types": ["Front"], "front": True, "image": picture, "thumbnails": {"250": "x"}, "id": "829521842"},
            ],
            "release": f"https://musicbrainz.org/release/{MBID}",
        }
    )
    assert service.client().get_cover(f"caa:{MBID}") == picture.replace("http:", "https:")
    assert fault_code(service, f"caa:{MBID[::-1]}") == -32602
    assert fault_code(service, f"caa:{MBID.replace('7', '8')}") == 404


@pytest.mark.parametrize(("status", "expected"), [("400 Bad Request", 404), ("503 Service Unavailable", 429)])
def test_statuses_of_the_cover_art_archive(
    origins: dict[str, Origin], service: Service, status: str, expected: int
) -> None:
    item = MBID.replace("7", status[0])
    origins["caa"].pages[f"/release/{item}"] = page("", status=status)
    assert fault_code(service, f"caa:{item}") == expected


def test_open_library(origins: dict[str, Origin], service: Service) -> None:
    covers = {size: f"https://covers.openlibrary.org/b/id/1-{size[0].upper()}.jpg" for size in ("small", "large")}
    pages = origins["openlibrary"].pages
    pages[ISBN.format("0451526538")] = json_page({"ISBN:0451526538": {"title": "Tom Sawyer", "cover": covers}})
    pages[ISBN.format("9780140328721")] = json_page({})
    assert service.client().get_cover("openlibrary:0451526538") == covers["large"]
    assert fault_code(service, "openlibrary:9780140328721") == 404


def test_deezer_reports_errors_with_status_200(origins: dict[str, Origin], service: Service) -> None:
    pages = origins["deezer"].pages
    pages["/album/302127"] = json_page({"id": 302127, "cover_xl": "https://e-cdns.example/1000.jpg"})
    pages["/album/1"] = json_page({"error": {"type": "DataException", "message": "no data", "code": 800}})
    pages["/album/2"] = json_page({"error": {"type": "Exception", "message": "Service busy", "code": 700}})
    pages["/album/3"] = json_page({"error": {"type": "Exception", "message": "Quota limit exceeded", "code": 4}})
    assert service.client().get_cover("deezer:302127") == "https://e-cdns.example/1000.jpg"
    assert [fault_code(service, f"deezer:{number}") for number in (1, 2, 3)] == [404, 502, 429]


def test_itunes_scales_images_and_throttles_with_403(origins: dict[str, Origin], service: Service) -> None:
    art = "https://is1-ssl.mzstatic.com/image/thumb/a/source"
    pages = origins["itunes"].pages
    pages["/lookup?id=1"] = json_page({"resultCount": 1, "results": [{"artworkUrl100": f"{art}/100x100bb.jpg"}]})
    pages["/lookup?id=2"] = json_page({"resultCount": 0, "results": []})
    pages["/lookup?id=3"] = page("", status="403 Forbidden")
    assert service.client().get_cover("itunes:1") == f"{art}/1200x1200bb.jpg"
    assert [fault_code(service, f"itunes:{number}") for number in (2, 3)] == [404, 429]


def test_pages_with_an_open_graph_image(origins: dict[str, Origin], service: Service) -> None:
    """The id is the URL of the page; hosts that are not allowed are not requested."""
    shop = origins["page"]
    shop.pages["/books/1?a=b"] = page('<meta property="og:image" content="/1.jpg">')
    client = service.client()
    assert client.get_cover(f"{shop.url}/books/1?a=b", "page") == f"{shop.url}/1.jpg"
    assert client.get_cover(f"page:{shop.url}/books/1?a=b") == f"{shop.url}/1.jpg"
    assert fault_code(service, f"page:http://localhost:{shop.port}/books/1") == 502
    assert fault_code(service, "page:ftp://127.0.0.1/") == -32602
