"""Loading of settings and sources, and the error messages for an invalid configuration."""

import re
from pathlib import Path

import pytest

from app.config.challenge_pages import CHALLENGE_PAGES
from app.config.loading import load_server_settings, load_settings
from app.config.settings import redacted_settings
from app.domain.errors import SettingsError

SHOP = """
[sources.shop]
page_url = "https://shop.example/item/{id}"
extract = [{ regex = 'src="(.+?)"' }]
"""


def write_config(folder: Path, text: str) -> dict[str, str]:
    path = folder / "covers.toml"
    path.write_text(text, "utf-8")
    return {"COVERS_CONFIG": str(path)}


def test_defaults_without_any_configuration() -> None:
    settings = load_settings({})
    assert settings.default_source == "ozon"
    assert settings.store == "sqlite:var/covers.db"
    assert settings.lru_size == 100_000
    assert settings.deadline == 10.0
    assert settings.max_body == 1_048_576
    assert settings.max_calls == 1000
    assert settings.fetch_concurrency == 256
    assert settings.admin_token is None
    assert re.fullmatch(r"\w+/\d+\.\d+\.\d+", settings.user_agent)


def test_the_reference_rule_is_built_in() -> None:
    ozon = load_settings({}).sources["ozon"]
    assert ozon.page_url_for("42") == "http://www.ozon.ru/context/detail/id/42"
    assert ozon.extract[0].regex == r"(/multimedia/audio_cd_covers/(?:\d+)\.jpg)"
    assert ozon.id_pattern == r"\d{1,19}"


def test_the_defaults_of_a_source(tmp_path: Path) -> None:
    shop = load_settings(write_config(tmp_path, SHOP)).sources["shop"]
    assert shop.id_pattern == "[A-Za-z0-9._-]{1,64}"
    day = 86_400.0
    assert (shop.ttl, shop.grace, shop.keep) == (30 * day, 7 * day, 365 * day)
    assert (shop.negative_ttl, shop.error_ttl) == (3600.0, 10.0)
    assert (shop.timeout, shop.retries, shop.concurrency, shop.delay) == (5.0, 1, 8, 0.0)
    assert shop.max_page == 2_097_152
    assert (shop.headers, shop.allowed_hosts, shop.canary) == ({}, [], [])
    assert not shop.private_network
    assert not shop.robots


@pytest.mark.parametrize(
    ("toml", "seconds"),
    [("10", 10), ("0.5", 0.5), ('"10s"', 10), ('"5m"', 300), ('"2h"', 7200), ('"30d"', 2_592_000)],
)
def test_a_duration_is_a_number_or_a_text_with_a_unit(tmp_path: Path, toml: str, seconds: float) -> None:
    assert load_settings(write_config(tmp_path, f"{SHOP}\nttl = {toml}")).sources["shop"].ttl == seconds


def test_a_table_with_page_url_and_extract_replaces_the_builtin_source(tmp_path: Path) -> None:
    ozon = load_settings(write_config(tmp_path, SHOP.replace("sources.shop", "sources.ozon"))).sources["ozon"]
    assert ozon.id_pattern == "[A-Za-z0-9._-]{1,64}"


def test_any_other_table_changes_only_the_keys_that_it_has(tmp_path: Path) -> None:
    ozon = load_settings(write_config(tmp_path, "[sources.ozon]\nconcurrency = 2")).sources["ozon"]
    assert (ozon.concurrency, ozon.id_pattern) == (2, r"\d{1,19}")


def test_a_builtin_source_can_get_another_page_url(tmp_path: Path) -> None:
    """The rules and response patterns of the source do not change."""
    table = '[sources.deezer]\npage_url = "http://127.0.0.1:9/album/{id}"\nprivate_network = true'
    builtin, deezer = (
        load_settings({}).sources["deezer"],
        load_settings(write_config(tmp_path, table)).sources["deezer"],
    )
    assert deezer.page_url_for("7") == "http://127.0.0.1:9/album/7"
    assert deezer.private_network
    assert deezer.extract == builtin.extract
    assert deezer.response_patterns == builtin.response_patterns
    assert deezer.delay == builtin.delay


def test_a_source_of_whole_urls_is_disabled_without_allowed_hosts(tmp_path: Path) -> None:
    assert load_settings({}).sources["page"].is_disabled
    assert load_settings(write_config(tmp_path, "[sources.page]\nttl = 5")).sources["page"].is_disabled
    assert (
        not load_settings(write_config(tmp_path, "[sources.page]\nallowed_hosts = ['*.example']"))
        .sources["page"]
        .is_disabled
    )


def test_a_response_pattern_is_a_table_a_text_or_an_array(tmp_path: Path) -> None:
    text = f"{SHOP}throttled = {{ status = 403 }}\nblocked = 'robot'\nnot_found = ['gone', {{ css = '.none' }}]"
    shop = load_settings(write_config(tmp_path, text)).sources["shop"]
    assert [[str(pattern) for pattern in patterns] for _, patterns in shop.response_patterns] == [
        ["status 403"],
        ["regex robot"],
        ["regex gone", "css .none"],
        [],
    ]


def test_the_default_of_blocked_is_the_challenge_pages(tmp_path: Path) -> None:
    assert load_settings(write_config(tmp_path, SHOP)).sources["shop"].blocked == CHALLENGE_PAGES
    assert load_settings(write_config(tmp_path, f"{SHOP}blocked = []")).sources["shop"].blocked == ()


def test_https_and_reject(tmp_path: Path) -> None:
    shop = load_settings(write_config(tmp_path, SHOP)).sources["shop"]
    assert (shop.https, shop.reject) == (False, [])
    text = f"{SHOP}https = true\nreject = ['/none\\.png$', '(?i)nophoto']"
    shop = load_settings(write_config(tmp_path, text)).sources["shop"]
    assert (shop.https, shop.reject) == (True, [r"/none\.png$", "(?i)nophoto"])


def shop_with(rules: str) -> str:
    return SHOP.replace("{ regex = 'src=\"(.+?)\"' }", rules)


def test_the_type_of_a_rule(tmp_path: Path) -> None:
    text = shop_with(
        "{ jsonld = 'image', type = 'Product' }, { microdata = 'image', type = 'https://schema.org/Book' }"
    )
    shop = load_settings(write_config(tmp_path, text)).sources["shop"]
    assert [str(rule) for rule in shop.extract] == [
        "jsonld image of Product",
        "microdata image of https://schema.org/Book",
    ]
    assert shop.needs_html_parser


@pytest.mark.parametrize(
    ("text", "is_different"),
    [
        ("timeout = 3", False),
        ("reject = []\nhttps = false", False),
        ("https = true", True),
        ("reject = ['x']", True),
        ("reject = ['https']", True),
        ("image_url = '{match}.jpg'", True),
    ],
)
def test_the_fingerprint_covers_the_keys_that_determine_the_cover(
    tmp_path: Path,
    text: str,
    is_different: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """A 304 renews only covers that were found with the same keys."""
    before = load_settings(write_config(tmp_path, shop_with("{ jsonld = 'image' }"))).sources["shop"]
    after = load_settings(write_config(tmp_path, shop_with("{ jsonld = 'image' }") + text)).sources["shop"]
    assert (after.fingerprint != before.fingerprint) == is_different


def test_fingerprints_differ(tmp_path: Path) -> None:
    """Two values of ``reject``, and rules with and without a type."""
    texts = [
        "",
        "https = true",
        "reject = ['a']",
        "reject = ['b']",
        "reject = ['a', 'b']",
        "https = true\nreject = ['a']",
    ]
    rules = ["{ jsonld = 'image' }", "{ jsonld = 'image', type = 'Book' }", "{ microdata = 'image', type = 'Book' }"]
    sources = [
        load_settings(write_config(tmp_path, shop_with(rule) + text)).sources["shop"]
        for rule in rules
        for text in texts
    ]
    assert len({source.fingerprint for source in sources}) == len(rules) * len(texts)


def test_the_name_of_a_source_is_that_of_its_table(tmp_path: Path) -> None:
    assert {name: source.name for name, source in load_settings({}).sources.items()}["caa"] == "caa"
    assert load_settings(write_config(tmp_path, SHOP)).sources["shop"].name == "shop"
    with pytest.raises(SettingsError, match=r"sources\.shop\.name: unknown key"):
        load_settings(write_config(tmp_path, f"{SHOP}name = 'other'"))


def test_environment_variables_override_the_file(tmp_path: Path) -> None:
    environ = write_config(tmp_path, "lru_size = 5\nmax_calls = 6") | {"COVERS_LRU_SIZE": "7", "COVERS_DEADLINE": "2.5"}
    settings = load_settings(environ)
    assert (settings.lru_size, settings.max_calls, settings.deadline) == (7, 6, 2.5)


def test_a_token_of_digits_is_a_string() -> None:
    assert load_settings({"COVERS_ADMIN_TOKEN": "0123"}).admin_token == "0123"


def test_bind_and_workers_are_read_from_the_environment() -> None:
    server = load_server_settings({"COVERS_BIND": "[::1]:9000", "COVERS_WORKERS": "3"})
    assert (server.bind, server.workers) == ("[::1]:9000", 3)
    assert load_server_settings({}).bind == "127.0.0.1:8080"


def test_log_level_and_format_are_read_from_the_environment() -> None:
    server = load_server_settings({"COVERS_LOG_LEVEL": "debug", "COVERS_LOG_FORMAT": "plain"})
    assert (server.log_level, server.log_format) == ("debug", "plain")
    assert (load_server_settings({}).log_level, load_server_settings({}).log_format) == ("info", None)


@pytest.mark.parametrize(
    ("store", "redacted"),
    [
        ("none", "none"),
        ("sqlite:/var/me@home/covers.db?", "sqlite:/var/me@home/covers.db?"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:sesame@127.0.0.1/0", "redis://***@127.0.0.1/0"),
        ("rediss://me:ses/a@me@127.0.0.1/0", "rediss://***@127.0.0.1/0"),
        ("redis://127.0.0.1/0?password=ses@me", "redis://127.0.0.1/0"),
    ],
)
def test_redacted_settings_contain_no_secrets(store: str, redacted: str) -> None:
    environ = {"COVERS_STORE": store, "COVERS_ADMIN_TOKEN": "abracadabra", "COVERS_DEADLINE": "5"}
    settings = redacted_settings(load_settings(environ))
    assert (settings["store"], settings["admin_token"], settings["deadline"]) == (redacted, "***", 5)
    assert settings["sources"] == ["ozon", "caa", "openlibrary", "deezer", "itunes"]
    assert redacted_settings(load_settings({}))["admin_token"] is None


def css_rule(selector: str) -> str:
    return SHOP.replace("regex", "css").replace("'src=\"(.+?)\"'", f"'{selector}'")


INVALID = [
    ("lru_sise = 5", "lru_sise: unknown key, expected perhaps lru_size"),
    ("colour = 'red'", "colour: unknown key, expected one of admin_token, "),
    ("lru_size = 'many'", "lru_size: expected `int`, got 'many'"),
    ("lru_size = true", "lru_size: expected `int`, got True"),
    ("lru_size = 0", "lru_size: expected `int` >= 1, got 0"),
    ("max_body = 1.5", "max_body: expected `int`, got 1.5"),
    ("deadline = 0", "deadline: expected more than 0 and at most 600 seconds, got 0"),
    ("deadline = inf", "deadline: expected seconds, from 0 to a century, or a text"),
    ("deadline = nan", "deadline: expected seconds, from 0 to a century, or a text"),
    ("store = 'mysql://x'", 'store: expected "none", "sqlite:PATH", "redis://…" or "rediss://…", got \'mysql://x\''),
    (
        "default_source = 'shop'",
        "default_source: expected one of ozon, caa, openlibrary, deezer, itunes, got 'shop'",
    ),
    (
        "default_source = 'page'",
        "default_source: expected one of ozon, caa, openlibrary, deezer, itunes, got 'page'",
    ),
    ("admin_token = ''", "admin_token: expected `str` of length >= 1"),
    ('user_agent = "a\\r\\nb"', "user_agent: expected a text of printable ASCII characters, got 'a\\r\\nb'"),
    ("sources = 3", "sources: expected tables [sources.NAME], got 3"),
    ("sources.shop = 3", "sources.shop: expected a table, got 3"),
    ("[sources.'My Shop']", "sources.My Shop: expected a name of lower-case letters, digits, - and _"),
    ("[sources.shop]", "sources.shop.page_url: expected a value, since the key is required, got none"),
    (SHOP.replace("extract", "exract"), "sources.shop.exract: unknown key, expected perhaps extract"),
    (
        SHOP.replace("https:", "ftp:"),
        "sources.shop.page_url: expected an http or https URL with {id}, or {id} alone, got 'ftp:",
    ),
    (
        SHOP.replace("{id}", "{ID}"),
        "sources.shop.page_url: expected an http or https URL with {id}, or {id} alone, got 'https:",
    ),
    (SHOP.replace("shop.example", "a:b@shop.example"), "sources.shop.page_url: expected a URL without a user name"),
    (
        SHOP.replace("shop.example", "{id}.example"),
        "sources.shop.allowed_hosts: expected at least one host",
    ),
    (
        SHOP.replace("https://shop.example/item/{id}", "{id}"),
        "sources.shop.allowed_hosts: expected at least one host",
    ),
    (
        SHOP.replace("https://shop.example/item/{id}", "{id}/x"),
        "sources.shop.page_url: expected an http or https URL with {id}, or {id} alone, got '{id}/x'",
    ),
    ("[sources.shop]\nextract = []", "sources.shop.extract: expected `array` of length >= 1"),
    ("[sources.shop]\nttl = 5", "sources.shop.page_url: expected a value, since the key is required"),
    ('[sources.shop]\npage_url = "http://h/{id}"', "sources.shop.extract: expected a value, since the key is required"),
    (SHOP.replace("regex", "regexp"), "sources.shop.extract[0].regexp: unknown key, expected perhaps regex"),
    (SHOP.replace("'src=", "'(?=src)"), "sources.shop.extract[0].regex: expected a regular expression of RE2"),
    (SHOP.replace("}]", ", css = 'img' }]"), "sources.shop.extract[0]: expected exactly one of regex, css, meta"),
    (SHOP.replace("regex", "json"), "sources.shop.extract[0].json: expected a JMESPath expression"),
    (
        SHOP.replace("[{ regex = 'src=\"(.+?)\"' }]", "[]"),
        "sources.shop.extract: expected `array` of length >= 1, got []",
    ),
    (f"{SHOP}id_pattern = '['", "sources.shop.id_pattern: expected a regular expression of RE2"),
    (f"{SHOP}ttl = '1w'", 'sources.shop.ttl: expected seconds, from 0 to a century, or a text such as "10s"'),
    (f"{SHOP}ttl = -1", 'sources.shop.ttl: expected seconds, from 0 to a century, or a text such as "10s"'),
    (f"{SHOP}timeout = 0", "sources.shop.timeout: expected more than 0"),
    (f"{SHOP}concurrency = 0", "sources.shop.concurrency: expected `int` >= 1, got 0"),
    (f"{SHOP}concurrency = 1001", "sources.shop.concurrency: expected `int` <= 1000, got 1001"),
    (f"{SHOP}canary = ['7', 'a b']", "sources.shop.canary[1]: expected an id that id_pattern matches, got 'a b'"),
    (
        f"{SHOP}id_pattern = 'x{{1,1000}}.{{1,900}}'",
        "sources.shop.id_pattern: expected a regular expression with small",
    ),
    (css_rule("a ~ b"), "sources.shop.extract[0].css: expected a CSS selector without ~, which takes too long"),
    (css_rule("a:not(b c)"), "sources.shop.extract[0].css: expected no combinators in :not(), which take too long"),
    (css_rule("a:has(:has(b))"), "sources.shop.extract[0].css: expected no :has() in this position, because"),
    (css_rule("a:nth-child(2 of b)"), 'sources.shop.extract[0].css: expected no "of" in :nth-child(), which takes'),
    (css_rule("a["), "sources.shop.extract[0].css: expected a CSS selector, got [{'css': 'a['}]"),
    (f"{SHOP}https = 1", "sources.shop.https: expected `bool`, got 1"),
    (f"{SHOP}reject = 'x'", "sources.shop.reject: expected `array`, got 'x'"),
    (f"{SHOP}reject = ['x', '(']", "sources.shop.reject[1]: expected a regular expression of RE2"),
    (shop_with("{ css = 'a', type = 'Product' }"), "sources.shop.extract[0]: type is only allowed with jsonld and"),
    (shop_with("{ jsonld = 'a', type = '' }"), "sources.shop.extract[0].type: expected the name of a type, such as"),
    (shop_with("{ jsonld = 'a', type = 'a b' }"), "sources.shop.extract[0].type: expected the name of a type, such as"),
    (
        shop_with("{ jsonld = 'a', microdata = 'a' }"),
        "sources.shop.extract[0]: expected exactly one of regex, css, meta,",
    ),
    (shop_with("{ microdata = '' }"), "sources.shop.extract[0]: expected microdata not to be empty"),
    (f"{SHOP}blocked = 5", "sources.shop.blocked: expected a regular expression, or a table with one of status, regex"),
    (f"{SHOP}blocked = ['a', 5]", "sources.shop.blocked: expected a regular expression, or a table with one of"),
    (f"{SHOP}blocked = '('", "sources.shop.blocked.regex: expected a regular expression of RE2"),
    (f"{SHOP}blocked = ''", "sources.shop.blocked.regex: expected a regular expression, got ''"),
    (f"{SHOP}failed = {{}}", "sources.shop.failed: expected exactly one of status, regex, css, json, got {}"),
    (
        f"{SHOP}failed = [{{ status = 500, css = 'a' }}]",
        "sources.shop.failed[0]: expected exactly one of status, regex, css, json",
    ),
    (
        f"{SHOP}failed = ['\\Qoh', 'no']",
        "sources.shop.failed: expected regular expressions that are also valid when combined with |: ",
    ),
    (f"{SHOP}not_found = {{ status = 99 }}", "sources.shop.not_found.status: expected `int` >= 201, got"),
    (f"{SHOP}not_found = [{{ status = 1000 }}]", "sources.shop.not_found[0].status: expected `int` <= 999, got"),
    (f"{SHOP}css = 5", "sources.shop.css: unknown key"),
    (SHOP.replace("/item/{id}", "/#{id}"), "sources.shop.page_url: expected a URL without a fragment"),
    (SHOP.replace("/item/{id}", "/{id}/{size}"), "sources.shop.page_url: expected an http or https URL with {id}"),
    (SHOP.replace("shop.example", "shop..example"), "sources.shop.page_url: expected an http or https URL with {id}"),
    (SHOP.replace("shop.example", "a" * 64), "sources.shop.page_url: expected an http or https URL with {id}"),
    (f"{SHOP}image_url = '{{match}}{{size}}'", "sources.shop.image_url: expected {match} first"),
    (f"{SHOP}delay = 601", "sources.shop.delay: expected at most 600 seconds"),
    (f"{SHOP}max_page = 99999999999999", "sources.shop.max_page: expected `int` <= 1073741824"),
    (f"{SHOP}headers = {{ Range = 'bytes=0-1' }}", "sources.shop.headers: Range is set by the service itself"),
    (f"{SHOP}headers = {{ a = 'b', A = 'c' }}", "sources.shop.headers: expected each header once"),
    (f"{SHOP}headers = {{ a = '{'b' * 5000}' }}", "sources.shop.headers: expected header values of at most 4096"),
    (
        f"{SHOP}blocked = {{ css = '{':not(' * 1000}a{')' * 1000}' }}",
        "sources.shop.blocked.css: expected a CSS selector",
    ),
    (f"{SHOP}allowed_hosts = ['a..b']", "sources.shop.allowed_hosts[0]: expected a host such as example.org"),
    (f"{SHOP}not_found = {{ state = 5 }}", "sources.shop.not_found.state: unknown key, expected perhaps status"),
    (f"{SHOP}throttled = ['a', {{ json = '[' }}]", "sources.shop.throttled[1].json: expected a JMESPath expression"),
    (f"{SHOP}throttled = {{ css = 'a ~ b' }}", "sources.shop.throttled.css: expected a CSS selector without ~"),
    (f"{SHOP}retries = 11", "sources.shop.retries: expected `int` <= 10, got 11"),
    (f"{SHOP}robots = 1", "sources.shop.robots: expected `bool`, got 1"),
    (f"{SHOP}image_url = 'https://x/'", "sources.shop.image_url: expected {match} first, or an http or https URL"),
    (
        f"{SHOP}image_url = 'https://{{match}}/'",
        "sources.shop.image_url: expected {match} first, or an http or https URL",
    ),
    (SHOP.replace("regex", "json").replace("'src=\"(.+?)\"'", "'nosuch(@)'"), "sources.shop.extract[0].json: expected"),
    (SHOP.replace("regex", "json").replace("'src=\"(.+?)\"'", "'length()'"), "sources.shop.extract[0].json: expected"),
    (SHOP.replace("'src=\"(.+?)\"'", "'" + "(" * 9999 + "'").replace("regex", "json"), "sources.shop.extract[0].json:"),
    (
        f'{SHOP}headers = {{ "X-A" = "a\\nb" }}',
        "sources.shop.headers: expected header names and printable ASCII values",
    ),
    (f"{SHOP}headers = {{ Host = 'x' }}", "sources.shop.headers: Host is set by the service itself"),
    (f"{SHOP}allowed_hosts = ['https://x']", "sources.shop.allowed_hosts[0]: expected a host such as"),
    ("lru_size =", "expected a TOML file: Invalid value"),
]


@pytest.mark.parametrize(("text", "line"), INVALID, ids=[line.partition(": ")[0] for _, line in INVALID])
def test_an_invalid_file_is_reported_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    """The line contains the file, the key and the expected value."""
    environ = write_config(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert str(caught.value).startswith(f"{environ['COVERS_CONFIG']}: {line}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("COVERS_LRU_SIZE", "many", "expected `int`, got 'many'"),
        ("COVERS_LRU_SISE", "5", "unknown key, expected perhaps COVERS_LRU_SIZE"),
        ("COVERS_DEFAULT_SOURCE", "shop", "expected one of ozon, caa, openlibrary, deezer, itunes, got 'shop'"),
        ("COVERS_WORKERS", "0", "expected `int` >= 1, got 0"),
        ("COVERS_WORKERS", "two", "expected `int`, got 'two'"),
        ("COVERS_BIND", "localhost", "expected HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N, got 'localhost'"),
        ("COVERS_BIND", "localhost:70000", "expected HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N"),
        ("COVERS_LOG_LEVEL", "loud", "expected debug, info, warning or error, got 'loud'"),
        ("COVERS_LOG_LEVEL", "", "expected debug, info, warning or error, got ''"),
        ("COVERS_LOG_FORMAT", "xml", "expected json or plain, got 'xml'"),
    ],
)
def test_an_invalid_variable_is_reported_in_one_line(variable: str, value: str, line: str) -> None:
    load = (
        load_server_settings if variable.startswith(("COVERS_BIND", "COVERS_WORKERS", "COVERS_LOG")) else load_settings
    )
    with pytest.raises(SettingsError) as caught:
        load({variable: value})
    assert str(caught.value).startswith(f"environment: {variable}: {line}")


def test_a_missing_file_is_reported() -> None:
    with pytest.raises(SettingsError, match=r"^/no/such\.toml: expected a readable TOML file: No such file"):
        load_settings({"COVERS_CONFIG": "/no/such.toml"})


def test_a_binary_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "covers.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="expected a TOML file"):
        load_settings({"COVERS_CONFIG": str(path)})


@pytest.mark.parametrize(
    "text",
    [
        "admin_token = 12345",
        f"{SHOP}headers = {{ Authorization = 12345 }}",
        "store = 'redis:/user:12345@host'",
    ],
)
def test_an_error_message_contains_no_secret(tmp_path: Path, text: str) -> None:
    """The message may be logged."""
    with pytest.raises(SettingsError) as caught:
        load_settings(write_config(tmp_path, text))
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "1" * 5_000])
def test_toml_beyond_the_limits_of_the_parser_is_reported(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="expected a TOML file"):
        load_settings(write_config(tmp_path, text))


@pytest.mark.parametrize("value", ["1_0", " 5", "\u0665", "1e1", "0x5"])
def test_a_number_in_a_variable_has_the_syntax_of_toml(value: str) -> None:
    with pytest.raises(SettingsError, match="COVERS_DEADLINE"):
        load_settings({"COVERS_DEADLINE": value})


def test_a_variable_in_lower_case_is_unknown() -> None:
    with pytest.raises(SettingsError, match="COVERS_deadline: unknown key, expected perhaps COVERS_DEADLINE"):
        load_settings({"COVERS_deadline": "1"})
