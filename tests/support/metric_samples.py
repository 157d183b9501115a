"""The samples of a scrape, for tests of metrics."""

from collections.abc import Mapping
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.support.service import Service


class Samples:
    """The samples of one scrape. ``samples["name", {"label": "value"}]`` is the value of one of them."""

    def __init__(self, samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
        self.values = samples

    def __getitem__(self, sample: tuple[str, Mapping[str, str]]) -> float:
        name, labels = sample
        return self.values[name, frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all samples with this name that have at least these labels."""
        return sum(
            value
            for (sample_name, sample_labels), value in self.values.items()
            if sample_name == name and sample_labels.issuperset(labels.items())
        )

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.values}


def samples_in(text: str) -> Samples:
    """Parse Prometheus's text format."""
    return Samples(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def scrape_text(server: Service) -> str:
    """Return the body of GET /metrics, requested over a new connection."""
    with urlopen(server.url.replace("/RPC2", "/metrics"), timeout=20) as response:
        text: str = response.read().decode()
        return text


def scrape(server: Service) -> Samples:
    """Return the samples of GET /metrics, requested over a new connection."""
    return samples_in(scrape_text(server))
