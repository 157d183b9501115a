"""The alerts, the dashboard and the documentation of metrics, tested with a real Prometheus."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.server.gunicorn_server import wait_until
from tests.support.metric_samples import Samples, samples_in, scrape_text
from tests.support.scripted_origin import Origin, cover, page
from tests.support.service import CONFIG, ROOT, Service, run_service

ALERTS = ROOT / "docs" / "alerts.yml"
DASHBOARD = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text("utf-8"))
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}

PROMETHEUS = """
global: {{ scrape_interval: 200ms, evaluation_interval: 200ms }}
rule_files: ["{alerts}"]
scrape_configs: [{{ job_name: covers, static_configs: [{{ targets: ["127.0.0.1:{port}"] }}] }}]
"""

#: A second source: the same origin under another host name.
THROTTLED = """
[sources.throttled]
page_url = "http://localhost:{port}/throttled/{{id}}"
extract = [{{ meta = "og:image" }}]
private_network = true
"""

ApiRequest = Callable[..., Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Origin]]:
    """A service and its origin, for all tests of the module."""
    with Origin().serving() as origin:
        config = CONFIG.format(origin=origin.url) + "retries = 0\n" + THROTTLED.format(port=origin.port)
        with run_service(tmp_path_factory.mktemp("service"), config) as running:
            yield running, origin


@pytest.fixture(scope="module")
def exposition(service: tuple[Service, Origin]) -> str:
    """The body of GET /metrics."""
    return scrape_text(service[0])


@contextmanager
def prometheus(program: str, folder: Path, port: int) -> Iterator[ApiRequest]:
    """Run a Prometheus that scrapes the port; yield a function that sends requests to its API."""
    config, log = folder / "prometheus.yml", folder / "prometheus.log"
    config.write_text(PROMETHEUS.format(alerts=ALERTS, port=port), "utf-8")
    options = {"config.file": config, "storage.tsdb.path": folder / "data", "web.listen-address": "127.0.0.1:0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *(f"--{name}={value}" for name, value in options.items())], stdout=output, stderr=output
        )
    address_line = re.compile(r'msg="Listening on" address=(\S+)')
    try:
        wait_until(
            lambda: "ready to receive" in log.read_text() and bool(address_line.search(log.read_text())), "it is ready"
        )
        address = address_line.findall(log.read_text())[0]

        def get(path: str, **parameters: str) -> Any:
            with urlopen(f"http://{address}/api/v1/{path}?{urlencode(parameters)}", timeout=20) as response:
                return json.load(response)["data"]

        yield get
    finally:
        process.kill()
        process.wait()


def promtool(require: Callable[[str], str], *arguments: str, stdin: str = "") -> None:
    """Run promtool, which must report no problem."""
    result = subprocess.run(
        [require("promtool"), *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=30
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr


def substitute_variables(expression: str) -> str:
    """Return a query of the dashboard with the values that Grafana substitutes for its variables."""
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


def test_each_dashboard_query_has_a_result_and_each_alert_rule_is_evaluated(
    require: Callable[[str], str], service: tuple[Service, Origin], tmp_path: Path
) -> None:
    server, origin = service
    with prometheus(require("prometheus"), tmp_path, server.port) as get:
        wait_until(lambda: bool(get("query", query='up{job="covers"} == 1')["result"]), "the service is scraped")
        origin.item(1, cover())
        origin.item(2, page("none"))
        origin.default = page("broken", status="500 Oops")
        server.client().get_covers([1, 2])
        server.client().get_covers(list(range(10, 30)))
        with pytest.raises(Exception, match="502"):
            server.client().get_cover(10)
        origin.pages["/throttled/1"] = page("wait", status="429 Slow Down", headers={"Retry-After": "600"})
        with pytest.raises(Exception, match="429"):
            server.client().get_cover("throttled:1")

        def queries_without_result() -> set[str]:
            results = {
                name: get("query", query=substitute_variables(expression))["result"]
                for name, expression in QUERIES.items()
            }
            return {name for name, result in results.items() if all(series["value"][1] == "NaN" for series in result)}

        wait_until(lambda: not queries_without_result(), "each query has a result")

        def expected_alerts_are_pending() -> bool:
            rules = [rule for group in get("rules")["groups"] for rule in group["rules"]]
            assert {rule.get("lastError") for rule in rules} == {None}
            return {rule["name"] for rule in rules if rule["state"] == "pending"} == {
                "CoversHostDown",
                "CoversSourceFails",
                "CoversSourceRefuses",
            }

        wait_until(expected_alerts_are_pending, "exactly the expected alerts are pending")


def test_alerts_fire_when_they_should(require: Callable[[str], str]) -> None:
    promtool(require, "check", "rules", str(ALERTS))
    promtool(require, "test", "rules", str(Path(__file__).with_name("alerts_test.yml")))


def test_promtool_reports_no_problem_in_the_exposition(require: Callable[[str], str], exposition: str) -> None:
    promtool(require, "check", "metrics", stdin=exposition)


def test_alerts_and_dashboard_use_only_exported_metrics(exposition: str) -> None:
    names = samples_in(exposition).names
    used = set(re.findall(r"\bcovers_\w+", ALERTS.read_text("utf-8") + json.dumps(DASHBOARD)))
    assert used <= names


def test_the_documentation_lists_each_metric_with_its_labels(exposition: str) -> None:
    documented = {
        name: set(labels.split(",")) - {""}
        for name, labels in re.findall(
            r"^\| `(covers_\w+)(?:\{([\w,]+)\})?` \|", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.MULTILINE
        )
    }
    assert documented == labels_by_name(samples_in(exposition))


def labels_by_name(samples: Samples) -> dict[str, set[str]]:
    """Return the labels of each metric. The samples of a histogram count as one metric."""
    return {
        re.sub("_(bucket|sum|count)$", "", name): {label for label, _ in labels} - {"le"}
        for name, labels in samples.values
    }
