"""The daemon's metrics, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """All samples of one scrape.

    Attributes:
        families: by name.
    """

    def __init__(self, address: str) -> None:
        with urlopen(f"http://{address}/metrics", timeout=10) as response:
            text = response.read().decode()
        families: Iterable[Metric] = text_string_to_metric_families(text)
        self.families = {family.name: family for family in families}
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """The value of one series. Raises KeyError if it does not exist."""
        return self._values[name, frozenset(labels.items())]

    def outcomes(self) -> dict[str, int]:
        """Requests ended so far by outcome; those that did not happen are left out."""
        samples = self.families["wizardtpud_requests"].samples
        ended = {s.labels["outcome"]: int(s.value) for s in samples if s.name == "wizardtpud_requests_total"}
        return {outcome: count for outcome, count in ended.items() if count}
