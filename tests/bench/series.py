"""Measurements of one thing, repeated."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Series:
    """The values in the order they were measured."""

    values: list[float]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def lowest(self) -> float:
        return min(self.values)

    @property
    def highest(self) -> float:
        return max(self.values)

    @property
    def p90(self) -> float:
        """What nine of ten values do not exceed."""
        return quantiles(self.values, n=10, method="inclusive")[-1]

    def over(self, other: Series) -> Series:
        """The ratios of what was measured in the same round."""
        return Series([ours / theirs for ours, theirs in zip(self.values, other.values, strict=True)])
