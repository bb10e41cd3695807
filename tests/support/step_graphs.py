"""Random steps for properties that hold for any build."""

from __future__ import annotations

from hypothesis import strategies as st
from wizardtpu_compile.steps.step import Step


@st.composite
def graphs(draw: st.DrawFn, largest: int = 8) -> list[Step]:
    """Steps that do nothing; each needs and discards some of those before it."""
    steps: list[Step] = []
    for number in range(draw(st.integers(1, largest))):
        names = [step.name for step in steps]
        some = st.sets(st.sampled_from(names), max_size=3) if names else st.just(set[str]())
        needs, discards = sorted(draw(some)), sorted(draw(some)) if draw(st.booleans()) else []
        memory, disk = draw(st.integers(0, 6)), draw(st.integers(0, 4))
        steps.append(
            Step(
                name=f"s{number}",
                digest=f"digest {number}",
                needs=tuple(needs),
                memory=memory,
                work=draw(st.floats(0, 10)),
                run=lambda _directory: {},
                disk=disk,
                discards=tuple(discards),
            )
        )
    return steps
