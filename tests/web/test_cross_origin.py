"""Cross-origin calls: a script in a page of another site calls XML-RPC with fetch(), in a real browser."""

import json
import xmlrpc.client
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.browser import Page
from tests.support.scripted_origin import COVER_PATH, page
from tests.web.page_harness import PageHarness

#: Calls fetch() and returns what the script can read of the response.
FETCH = """
fetch({url}, {options}).then(
    async (response) => ({{
        status: response.status,
        type: response.headers.get("Content-Type"),
        body: await response.text(),
    }}),
    (error) => ({{error: error.name}}),
)
"""

#: The result if the browser does not send the request, or does not let the script read the response.
REJECTED = {"error": "TypeError"}


@pytest.fixture
def shop_page(harness: PageHarness) -> Iterator[Page]:
    """A page of another origin than the service: the shop has another port."""
    harness.origin.pages["/shop"] = page('<title>A shop</title><link rel="icon" href="data:,">')
    with harness.browser.page() as opened:
        opened.open(f"{harness.origin.url}/shop")
        yield opened


def fetch(shop: Page, url: str, body: str = "", **options: Any) -> dict[str, Any]:
    """Send a request from the page, by default a POST of text/xml; return what the script can read."""
    defaults = {"method": "POST", "headers": {"Content-Type": "text/xml"}, **({"body": body} if body else {})}
    return dict(shop.evaluate(FETCH.format(url=json.dumps(url), options=json.dumps({**defaults, **options}))))


@pytest.mark.parametrize("path", ["/RPC2", "/RPC2/", "/"])
def test_a_script_of_another_site_gets_a_cover(harness: PageHarness, shop_page: Page, path: str) -> None:
    """The server has the last response in its response cache."""
    url = f"http://127.0.0.1:{harness.server.port}{path}"
    call = xmlrpc.client.dumps((1,), "get_cover")
    for headers in [{"X-Request-Id": "from-a-shop"}, {}, {}, {}]:
        response = fetch(shop_page, url, call, headers={"Content-Type": "text/xml", **headers})
        assert (response["status"], response["type"]) == (200, "text/xml; charset=utf-8")
        (cover_url,), _ = xmlrpc.client.loads(response["body"])
        assert cover_url == harness.origin.url + COVER_PATH.format(number=1)
    assert shop_page.errors == []


def test_a_script_of_another_site_can_read_faults_and_errors(harness: PageHarness, shop_page: Page) -> None:
    url = harness.server.url
    fault = fetch(shop_page, url, xmlrpc.client.dumps((41,), "get_cover"))
    assert fault["status"] == 200
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(fault["body"])
    assert caught.value.faultCode == 404
    json_response = fetch(shop_page, url, "{}", headers={"Content-Type": "application/json"})
    assert (json_response["status"], json_response["body"]) == (
        415,
        "The Content-Type of an XML-RPC request must be text/xml.\n",
    )
    assert fetch(shop_page, url, "x" * 1_100_000)["status"] == 413
    assert fetch(shop_page, url, method="GET", headers={})["status"] == 405
    assert fetch(shop_page, f"{url}/none", "x", headers={})["status"] == 404


def test_a_call_without_a_type_needs_no_preflight_request(harness: PageHarness, shop_page: Page) -> None:
    """The browser sends bytes without Content-Type, but text as text/plain, which gets 415."""
    url, call = harness.server.url, xmlrpc.client.dumps((1,), "get_cover")
    options = f"{{method: 'POST', body: new TextEncoder().encode({json.dumps(call)})}}"
    response = shop_page.evaluate(FETCH.format(url=json.dumps(url), options=options))
    assert response["status"] == 200
    assert xmlrpc.client.loads(response["body"])[0] == (harness.origin.url + COVER_PATH.format(number=1),)
    assert shop_page.requests.count(url) == 1
    assert fetch(shop_page, url, call, headers={})["status"] == 415
    assert shop_page.requests.count(url) == 2
    assert fetch(shop_page, url, call)["status"] == 200
    assert shop_page.requests.count(url) == 4
    assert fetch(shop_page, url, call)["status"] == 200
    assert shop_page.requests.count(url) == 5  # the browser remembers the response to its preflight request


@pytest.mark.parametrize(
    "options",
    [
        {"credentials": "include"},
        {"headers": {"Content-Type": "text/xml", "Authorization": "Basic YTpi"}},
        {"headers": {"Content-Type": "text/xml", "X-Other": "1"}},
        {"method": "PUT"},
    ],
    ids=["credentials", "a password", "another header", "another method"],
)
def test_the_browser_rejects_more_than_is_allowed(
    harness: PageHarness, shop_page: Page, options: dict[str, Any]
) -> None:
    assert fetch(shop_page, harness.server.url, xmlrpc.client.dumps((1,), "get_cover"), **options) == REJECTED
