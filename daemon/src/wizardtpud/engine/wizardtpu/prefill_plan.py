"""In which steps a prompt is read."""

from __future__ import annotations

from collections.abc import Mapping


class PrefillPlan:
    """The cheapest steps for any number of tokens, larger ones first."""

    def __init__(self, costs: Mapping[int, float], longest: int) -> None:
        """Plans for up to `longest` tokens.

        Args:
            costs: of a step, by how many tokens it takes; it costs as much if it is not full.
            longest: at least 1.
        """
        largest_first = sorted(costs.items(), reverse=True)
        least = [0.0]
        self._next = [0]
        for left in range(1, longest + 1):
            cost, step = min(
                ((cost + least[max(0, left - tokens)], tokens) for tokens, cost in largest_first),
                key=lambda found: found[0],
            )
            least.append(cost)
            self._next.append(step)

    def next_step(self, left: int) -> int:
        """How many tokens the next step is to take when so many are left."""
        return self._next[left]

    def steps(self, tokens: int) -> list[int]:
        """All steps for so many tokens; the last one may not be full."""
        taken: list[int] = []
        while tokens > 0:
            taken.append(self.next_step(tokens))
            tokens -= taken[-1]
        return taken
