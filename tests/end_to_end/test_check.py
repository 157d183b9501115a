"""``python -m app check``: canary ids, looked up as the service would."""

import signal
from pathlib import Path

import pytest

from app.cli.check import check as check_sources
from app.cli.exit_status import UsageError
from app.config.loading import load_settings
from app.main import build_cover_page_reader, with_circuit_breaker
from tests.support.command import run, running
from tests.support.scripted_origin import Barrier, Origin, cover, page
from tests.support.service import CONFIG


def check(folder: Path, config: str, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Run ``check`` with this configuration; return its exit status, standard output and standard error."""
    path = folder / "covers.toml"
    path.write_text(config, "utf-8")
    return run("check", *arguments, config=path, extra=variables)


def config(origin: Origin, canary: str) -> str:
    return CONFIG.format(origin=origin.url) + f"retries = 0\ncanary = {canary}\n"


def test_canaries_with_covers_succeed(origin: Origin, tmp_path: Path) -> None:
    """Each has a line with the cover's URL, the rule that matched and the time it took."""
    for number in (1, 2):
        origin.item(number, cover(number))
    status, out, _ = check(tmp_path, config(origin, "[1, '2']"), "ozon")
    lines = out.splitlines()
    assert status == 0
    assert len(lines) == 2
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"ozon:{number}: {origin.url}/multimedia/audio_cd_covers/{number}.jpg by regex ")
        assert line.endswith(" s)")


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("<p>new design</p>", "200 OK", "no cover on the page: regex"),
        ("<title>Just a moment...</title><script>window._cf_chl_opt={}</script>", "200 OK", "_cf_chl_opt"),
        ("go away", "403 Forbidden", "answered 403 Forbidden"),
        ("", "500 Internal Server Error", "answered 500 Internal Server Error"),
    ],
)
def test_a_failed_canary_is_reported_with_the_reason(
    origin: Origin, tmp_path: Path, text: str, status: str, reason: str
) -> None:
    origin.item(1, page(text, status=status))
    origin.item(2, cover(2))
    code, out, err = check(tmp_path, config(origin, "[1, 2]"))
    assert code == 1
    failed, found = out.splitlines()
    assert failed.startswith("ozon:1: FAILED: ")
    assert reason in failed
    assert found.startswith(f"ozon:2: {origin.url}")
    assert "Traceback" not in err


def test_a_page_timeout_is_reported(origin: Origin, tmp_path: Path) -> None:
    origin.item(1, page("", headers={"Content-Length": "10"}))
    status, out, _ = check(tmp_path, config(origin, "[1]") + "timeout = 0.2\n")
    assert (status, "took longer than 0.2 seconds" in out) == (1, True)


def test_ctrl_c_ends_the_command_silently(origin: Origin, tmp_path: Path) -> None:
    """While a page is being fetched."""
    origin.item(1, barrier := Barrier(cover()))
    path = tmp_path / "covers.toml"
    path.write_text(config(origin, "[1]"), "utf-8")
    with running("check", "ozon", config=path) as process:
        assert barrier.reached.wait(10)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_a_named_source_without_canaries_is_reported(origin: Origin, tmp_path: Path) -> None:
    status, out, err = check(tmp_path, config(origin, "[]"), "ozon")
    assert (status, out, err) == (0, "", "ozon: not checked, it has no canary ids\n")


def test_without_names_sources_without_canaries_are_skipped(origin: Origin, tmp_path: Path) -> None:
    """They are not reported, so that cron sends no mail about the built-in sources, which have none."""
    origin.item(1, cover(1))
    status, out, err = check(tmp_path, config(origin, "[1]"))
    assert (status, out.startswith("ozon:1: "), err) == (0, True, "")
    status, out, err = check(tmp_path, config(origin, "[]"))
    assert (status, out, err) == (0, "", "nothing to check: no source has canary ids\n")


def test_an_invalid_store_url_is_a_usage_error(origin: Origin, tmp_path: Path) -> None:
    status, out, err = check(tmp_path, config(origin, "[1]"), COVERS_STORE="redis://127.0.0.1:99999999/0")
    assert (status, out, err.count("\n"), "COVERS_STORE" in err) == (2, "", 1, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch", "unknown source 'nosuch'; there are ozon, caa"),
        ("page", "source page is disabled because its allowed_hosts is empty"),
    ],
)
def test_an_unusable_source_is_reported_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_sources([name], load_settings({}), lambda _clock: pytest.fail("no page must be fetched"))
    assert (message in str(raised.value), "\n" in str(raised.value)) == (True, False)


def test_an_invalid_canary_id_does_not_stop_the_others(
    tmp_path: Path, origin: Origin, capsys: pytest.CaptureFixture[str]
) -> None:
    """``..`` matches the source's id pattern, but is not allowed as a path segment."""
    origin.pages["/good"] = page('<meta property="og:image" content="/a.jpg">')
    path = tmp_path / "covers.toml"
    path.write_text(
        f'[sources.shop]\npage_url = "{origin.url}/{{id}}"\nextract = [{{ meta = "og:image" }}]\n'
        'private_network = true\ncanary = ["..", "good"]\n'
    )
    settings = load_settings({"COVERS_CONFIG": str(path)})
    status = check_sources(
        ["shop"], settings, lambda clock: build_cover_page_reader(settings, with_circuit_breaker(None), clock)
    )
    failed, found = capsys.readouterr().out.splitlines()
    assert status == 1
    assert failed.startswith("shop:..: FAILED: ")
    assert found.startswith(f"shop:good: {origin.url}/a.jpg by meta og:image")


def test_an_unreadable_certificate_bundle_is_reported_in_one_line(origin: Origin, tmp_path: Path) -> None:
    status, out, err = check(tmp_path, config(origin, "[1]"), REQUESTS_CA_BUNDLE="/nonexistent")
    assert (status, out) == (2, "")
    assert err == "REQUESTS_CA_BUNDLE: expected certificates at /nonexistent: No such file or directory\n"


def test_an_invalid_configuration_is_reported_in_one_line(tmp_path: Path) -> None:
    status, out, err = check(tmp_path, "lru_size = 'many'\n")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "covers.toml: lru_size: expected" in err
