"""Metrics as Prometheus reads them."""

from collections.abc import Mapping
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.support.service import Service


class Samples:
    """The samples of one scrape: ``samples["name", {"label": "value"}]`` is a number."""

    def __init__(self, samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
        self.all = samples

    def __getitem__(self, sample: tuple[str, Mapping[str, str]]) -> float:
        name, labels = sample
        return self.all[name, frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have this name and, among others, these labels."""
        return sum(
            value for (sample, has), value in self.all.items() if sample == name and has.issuperset(labels.items())
        )

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.all}


def samples_in(text: str) -> Samples:
    """Read Prometheus's text format."""
    return Samples(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    )


def text_of(server: Service) -> str:
    """Return what a service says at /metrics, asked over a connection of its own."""
    with urlopen(server.url.replace("/RPC2", "/metrics"), timeout=20) as answer:
        text: str = answer.read().decode()
        return text


def scrape(server: Service) -> Samples:
    """Return the same as samples."""
    return samples_in(text_of(server))
