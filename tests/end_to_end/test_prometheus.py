"""What operators are given, tried with Prometheus itself, which scrapes the service."""

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
from tests.support.metric_samples import Samples, samples_in, text_of
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

#: A source whose host is another one by its name.
TIRED = """
[sources.tired]
page_url = "http://localhost:{port}/tired/{{id}}"
extract = [{{ meta = "og:image" }}]
private_network = true
"""

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Origin]]:
    """A service and its origin, for the module."""
    with Origin().serving() as origin:
        config = CONFIG.format(origin=origin.url) + "retries = 0\n" + TIRED.format(port=origin.port)
        with run_service(tmp_path_factory.mktemp("service"), config) as running:
            yield running, origin


@pytest.fixture(scope="module")
def exported(service: tuple[Service, Origin]) -> str:
    """What /metrics says."""
    return text_of(service[0])


@contextmanager
def prometheus(program: str, folder: Path, port: int) -> Iterator[Ask]:
    """Run Prometheus, which scrapes what listens at the port; yield what asks its API."""
    config, log = folder / "prometheus.yml", folder / "prometheus.log"
    config.write_text(PROMETHEUS.format(alerts=ALERTS, port=port), "utf-8")
    options = {"config.file": config, "storage.tsdb.path": folder / "data", "web.listen-address": "127.0.0.1:0"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *(f"--{name}={value}" for name, value in options.items())], stdout=output, stderr=output
        )
    listens = re.compile(r'msg="Listening on" address=(\S+)')
    try:
        wait_until(lambda: "ready to receive" in log.read_text() and bool(listens.search(log.read_text())), "it serves")
        address = listens.findall(log.read_text())[0]

        def ask(path: str, **parameters: str) -> Any:
            with urlopen(f"http://{address}/api/v1/{path}?{urlencode(parameters)}", timeout=20) as answer:
                return json.load(answer)["data"]

        yield ask
    finally:
        process.kill()
        process.wait()


def promtool(require: Callable[[str], str], *arguments: str, given: str = "") -> None:
    """Run promtool; it is to find no fault."""
    done = subprocess.run(
        [require("promtool"), *arguments], input=given, capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def query(expression: str) -> str:
    """Return a query of the dashboard as Grafana sends it."""
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


def test_prometheus_answers_each_query_of_the_dashboard_and_evaluates_each_alert(
    require: Callable[[str], str], service: tuple[Service, Origin], tmp_path: Path
) -> None:
    server, origin = service
    with prometheus(require("prometheus"), tmp_path, server.port) as ask:
        wait_until(lambda: bool(ask("query", query='up{job="covers"} == 1')["result"]), "the service is scraped")
        origin.item(1, cover())
        origin.item(2, page("none"))
        origin.default = page("broken", status="500 Oops")
        server.client().get_covers([1, 2])
        server.client().get_covers(list(range(10, 30)))
        with pytest.raises(Exception, match="502"):
            server.client().get_cover(10)
        origin.pages["/tired/1"] = page("wait", status="429 Slow Down", headers={"Retry-After": "600"})
        with pytest.raises(Exception, match="429"):
            server.client().get_cover("tired:1")

        def unanswered() -> set[str]:
            answers = {name: ask("query", query=query(expression))["result"] for name, expression in QUERIES.items()}
            return {name for name, answer in answers.items() if all(one["value"][1] == "NaN" for one in answer)}

        wait_until(lambda: not unanswered(), "each query is answered")

        def is_noticed() -> bool:
            rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
            assert {rule.get("lastError") for rule in rules} == {None}
            return {rule["name"] for rule in rules if rule["state"] == "pending"} == {
                "CoversHostDown",
                "CoversSourceFails",
                "CoversSourceRefuses",
            }

        wait_until(is_noticed, "what is wrong is noticed, and nothing else")


def test_alerts_fire_when_they_should(require: Callable[[str], str]) -> None:
    promtool(require, "check", "rules", str(ALERTS))
    promtool(require, "test", "rules", str(Path(__file__).with_name("alerts_test.yml")))


def test_promtool_finds_no_fault_in_what_is_exported(require: Callable[[str], str], exported: str) -> None:
    promtool(require, "check", "metrics", given=exported)


def test_alerts_and_dashboard_name_only_what_is_exported(exported: str) -> None:
    names = samples_in(exported).names
    used = set(re.findall(r"\bcovers_\w+", ALERTS.read_text("utf-8") + json.dumps(DASHBOARD)))
    assert used <= names


def test_the_documentation_tells_of_each_metric_and_its_labels(exported: str) -> None:
    told = {
        name: set(labels.split(",")) - {""}
        for name, labels in re.findall(
            r"^\| `(covers_\w+)(?:\{([\w,]+)\})?` \|", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.MULTILINE
        )
    }
    assert told == labels_by_name(samples_in(exported))


def labels_by_name(samples: Samples) -> dict[str, set[str]]:
    """Return the labels of each metric, a histogram's parts taken as one."""
    return {
        re.sub("_(bucket|sum|count)$", "", name): {label for label, _ in labels} - {"le"}
        for name, labels in samples.all
    }
