"""The built-in sources: the covers that they find in typical and unusual responses of their origins."""

import json
from typing import Any

import pytest

from app.config.loading import load_settings
from app.config.rules import compile_regex
from app.config.source_registry import SourceRegistry
from app.config.url_templates import HostPattern
from app.domain.errors import InvalidParams
from app.domain.records import Outcome
from app.extract.engine import Extraction, extract

SOURCES = load_settings({}).sources


def extract_with(name: str, response: Any, page_url: str = "https://api.example/1") -> Extraction:
    """Return what a source extracts from a response: an HTML text, or a value that is encoded as JSON."""
    source = SOURCES[name]
    body = response if isinstance(response, str) else json.dumps(response)
    return extract(
        body.encode(),
        rules=source.extract,
        page_url=page_url,
        image_url=source.image_url,
        https=source.https,
        reject=source.reject,
        response_patterns=source.response_patterns,
    )


def caa_response(**keys: Any) -> dict[str, Any]:
    """Return a response of the Cover Art Archive with a back image and a front image, which has these keys."""
    back = {"types": ["Back"], "front": False, "image": "http://caa.example/back.jpg", "id": 1, "thumbnails": {}}
    front = {"types": ["Front"], "front": True, "id": "2", **keys}
    return {"images": [back, front], "release": "https://musicbrainz.org/release/1"}


CAA = "https://coverartarchive.org/release/76df3287/829521842"
ART = "https://is1-ssl.mzstatic.com/image/thumb/Music115/v4/aa/bb/source"
DEEZER = {"id": 302127, "title": "Discovery", "cover": "https://api.deezer.com/album/302127/image", "md5_image": "57"}
PLACEHOLDER = "https://cdn-images.dzcdn.net/images/cover//1000x1000-000000-80-0-0.jpg"
EMPTY_HASH = "d41d8cd98f00b204e9800998ecf8427e"
COVERS = "https://covers.openlibrary.org/b/id/240727"
SMALL = {"small": f"{COVERS}-S.jpg"}
LARGE = {**SMALL, "medium": f"{COVERS}-M.jpg", "large": f"{COVERS}-L.jpg"}


@pytest.mark.parametrize(
    ("name", "response", "url"),
    [
        (
            "ozon",
            "<img src='/multimedia/audio_cd_covers/10.jpg'>",
            "https://api.example/multimedia/audio_cd_covers/10.jpg",
        ),
        ("caa", caa_response(image=f"{CAA}.jpg"), f"{CAA}.jpg"),
        (
            "caa",
            caa_response(image="http://coverartarchive.org/a.png", thumbnails={}),
            "https://coverartarchive.org/a.png",
        ),
        ("caa", caa_response(image=f"{CAA}.pdf", thumbnails={"1200": f"{CAA}-1200.jpg"}), f"{CAA}-1200.jpg"),
        ("caa", caa_response(image=f"{CAA}.PDF?x=1", thumbnails={"large": f"{CAA}-500.jpg"}), f"{CAA}-500.jpg"),
        ("caa", caa_response(image=f"{CAA}.pdf.jpg"), f"{CAA}.pdf.jpg"),
        ("caa", caa_response(thumbnails={"250": f"{CAA}-250.jpg", "1200": f"{CAA}-1200.jpg"}), f"{CAA}-1200.jpg"),
        ("caa", caa_response(image=None, thumbnails={"large": f"{CAA}-500.jpg"}), f"{CAA}-500.jpg"),
        ("caa", caa_response(thumbnails={"500": f"{CAA}-500.jpg", "250": "x"}), f"{CAA}-500.jpg"),
        ("caa", caa_response(thumbnails={"small": f"{CAA}-250.jpg"}), f"{CAA}-250.jpg"),
        ("openlibrary", {"ISBN:0451526538": {"url": "x", "title": "Tom Sawyer", "cover": LARGE}}, f"{COVERS}-L.jpg"),
        ("openlibrary", {"ISBN:0451526538": {"cover": SMALL}}, f"{COVERS}-S.jpg"),
        (
            "deezer",
            {**DEEZER, "cover_xl": "https://e.example/1000.jpg", "cover_big": "x"},
            "https://e.example/1000.jpg",
        ),
        ("deezer", {**DEEZER, "cover_big": "https://e.example/500.jpg"}, "https://e.example/500.jpg"),
        (
            "deezer",
            {**DEEZER, "cover_xl": PLACEHOLDER, "cover_big": "https://e.example/5.jpg"},
            "https://e.example/5.jpg",
        ),
        ("deezer", {**DEEZER, "cover_xl": None, "cover_medium": "https://e.example/2.jpg"}, "https://e.example/2.jpg"),
        (
            "itunes",
            {
                "resultCount": 1,
                "results": [{"artworkUrl60": f"{ART}/60x60bb.jpg", "artworkUrl100": f"{ART}/100x100bb.jpg"}],
            },
            f"{ART}/1200x1200bb.jpg",
        ),
        (
            "itunes",
            f'\n\n\n{{\n "resultCount":1,\n "results": [\n{{"artworkUrl100":"{ART}/100x100bb.jpg"}}]\n}}\n',
            f"{ART}/1200x1200bb.jpg",
        ),
        (
            "itunes",
            {"resultCount": 1, "results": [{"artworkUrl100": f"{ART}/100x100-75.jpg"}]},
            f"{ART}/100x100-75.jpg",
        ),
        ("page", "<meta property=og:image content=/a.jpg><meta name=twitter:image content=/b.jpg>", "/a.jpg"),
        ("page", "<meta property=og:image content=/a.jpg><meta property=og:image:secure_url content=/s.jpg>", "/s.jpg"),
        ("page", "<meta name=twitter:image:src content=/t.jpg><img itemprop=image src=/b.jpg>", "/t.jpg"),
        ("page", "<meta itemprop=image content=/m.jpg>", "/m.jpg"),
        ("page", "<div itemscope><img itemprop=image src=/i.jpg></div>", "/i.jpg"),
        ("page", "<link itemprop=image href=/l.jpg>", "/l.jpg"),
        (
            "page",
            "<div itemscope itemprop=author><img itemprop=image src=/no.jpg></div><img itemprop=image src=/i.jpg>",
            "/i.jpg",
        ),
        ("page", '<script type="application/ld+json">{"@graph": [{"image": {"url": "/j.jpg"}}]}</script>', "/j.jpg"),
        ("page", "<base href=https://cdn.example/><meta property=og:image content=a.jpg>", "https://cdn.example/a.jpg"),
        ("page", "<title>An article</title><img src=/logo.png>", ""),
        ("page", "", ""),
    ],
)
def test_the_cover_of_a_response(name: str, response: Any, url: str) -> None:
    found = extract_with(name, response)
    assert found.url == (f"https://api.example{url}" if url.startswith("/") else url)
    assert found.outcome is None


@pytest.mark.parametrize(
    ("name", "response", "outcome"),
    [
        ("caa", {"images": [{"front": False, "image": "http://caa.example/back.jpg"}]}, None),
        ("caa", {"images": []}, None),
        ("openlibrary", {}, Outcome.NO_SUCH_ITEM),
        ("openlibrary", {"ISBN:0451526538": {"title": "Tom Sawyer"}}, None),
        ("deezer", {"error": {"type": "DataException", "message": "no data", "code": 800}}, Outcome.NO_SUCH_ITEM),
        ("deezer", {"error": {"type": "Exception", "message": "Quota limit exceeded", "code": 4}}, Outcome.THROTTLED),
        ("deezer", {"error": {"type": "Exception", "message": "Service busy", "code": 700}}, Outcome.ORIGIN_FAILED),
        ("deezer", {"error": {"type": "Exception"}}, Outcome.ORIGIN_FAILED),
        ("deezer", {**DEEZER, "cover_xl": ""}, None),
        ("deezer", {**DEEZER, "cover_xl": PLACEHOLDER, "cover_big": PLACEHOLDER.replace("1000x1000", "500x500")}, None),
        ("deezer", {**DEEZER, "cover_xl": PLACEHOLDER.replace("cover//", f"cover/{EMPTY_HASH}/")}, None),
        ("caa", caa_response(image=f"{CAA}.pdf", thumbnails={}), None),
        ("itunes", {"resultCount": 0, "results": []}, Outcome.NO_SUCH_ITEM),
        ("itunes", {"resultCount": 1, "results": [{"trackId": 1}]}, None),
    ],
)
def test_the_outcome_of_a_response_without_a_cover(name: str, response: Any, outcome: Outcome | None) -> None:
    """The outcome is None if the page is valid and has no cover."""
    found = extract_with(name, response)
    assert (found.url, found.outcome, found.is_malformed) == ("", outcome, False)


@pytest.mark.parametrize("name", ["caa", "openlibrary", "deezer", "itunes"])
def test_an_html_page_from_a_json_service_is_malformed(name: str) -> None:
    found = extract_with(name, "<html><title>Sorry</title>")
    assert (found.url, found.outcome, found.is_malformed) == ("", None, True)


@pytest.mark.parametrize(
    ("name", "status", "outcome"),
    [
        ("caa", 400, Outcome.NO_SUCH_ITEM),
        ("caa", 503, Outcome.THROTTLED),
        ("itunes", 403, Outcome.THROTTLED),
        ("itunes", 429, Outcome.THROTTLED),
        ("deezer", 403, None),
        ("ozon", 403, None),
    ],
)
def test_the_outcome_of_a_status(name: str, status: int, outcome: Outcome | None) -> None:
    assert SOURCES[name].outcome_for_status(status) is outcome


@pytest.mark.parametrize(
    ("name", "item_id", "page_url"),
    [
        ("ozon", "42", "http://www.ozon.ru/context/detail/id/42"),
        (
            "caa",
            "76df3287-6cda-33eb-8e9a-044b5e15ffdd",
            "https://coverartarchive.org/release/76df3287-6cda-33eb-8e9a-044b5e15ffdd",
        ),
        (
            "openlibrary",
            "0-451-52653-8",
            "https://openlibrary.org/api/books?bibkeys=ISBN:0-451-52653-8&format=json&jscmd=data",
        ),
        (
            "openlibrary",
            "080442957X",
            "https://openlibrary.org/api/books?bibkeys=ISBN:080442957X&format=json&jscmd=data",
        ),
        (
            "openlibrary",
            "978-0-306-40615-7",
            "https://openlibrary.org/api/books?bibkeys=ISBN:978-0-306-40615-7&format=json&jscmd=data",
        ),
        ("deezer", "302127", "https://api.deezer.com/album/302127"),
        ("itunes", "909253", "https://itunes.apple.com/lookup?id=909253"),
    ],
)
def test_the_page_url_of_an_id(name: str, item_id: str, page_url: str) -> None:
    registry = SourceRegistry(SOURCES, "ozon")
    assert registry[name].page_url_for(registry.resolve(item_id, name).id) == page_url


@pytest.mark.parametrize(
    ("name", "item_id"),
    [
        ("caa", "76df3287"),
        ("caa", "76df3287-6cda-33eb-8e9a-044b5e15ffdz"),
        ("openlibrary", "045152653"),
        ("openlibrary", "X451526538"),
        ("openlibrary", "977-0-306-40615-7"),
        ("openlibrary", "0451526538&x=1"),
        ("deezer", "abc"),
        ("itunes", "1,2"),
        ("page", "https://shop.example/"),
    ],
)
def test_an_invalid_id_is_refused(name: str, item_id: str) -> None:
    with pytest.raises(InvalidParams, match=r"is no id of|is disabled"):
        SourceRegistry(SOURCES, "ozon").resolve(item_id, name)


@pytest.mark.parametrize(
    ("item_id", "fits"),
    [
        ("https://shop.example", True),
        ("HTTP://shop.example/a?b=c", True),
        ("https://shop.example?b=c", True),
        ("https://книга.example/я", True),
        ("https://user@shop.example/", False),
        ("https://shop.example/#top", False),
        ("https://shop.example/a b", False),
        ("https://shop.example\\@evil.example/", False),
        ("shop.example/", False),
    ],
)
def test_the_id_pattern_of_page_matches_whole_urls(item_id: str, fits: bool) -> None:  # noqa: FBT001 - a column of the table
    assert (compile_regex(SOURCES["page"].id_pattern).fullmatch(item_id.encode()) is not None) == fits


def test_only_page_is_disabled() -> None:
    """The source ``page`` is disabled because its ids select the host."""
    assert [name for name, source in SOURCES.items() if source.is_disabled] == ["page"]
    assert set(SourceRegistry(SOURCES, "ozon")) == {"ozon", "caa", "openlibrary", "deezer", "itunes"}


def test_caa_may_redirect_to_archive_org() -> None:
    assert SOURCES["caa"].allowed_hosts == [HostPattern("archive.org"), HostPattern("*.archive.org")]


def test_builtin_sources_have_no_canaries() -> None:
    """Operators choose the canaries, because `check` requests the canaries of all sources by default."""
    assert not any(source.canary for source in SOURCES.values())
