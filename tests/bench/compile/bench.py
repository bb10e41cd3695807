"""The whole run, part by part."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path

from wizardtpu_compile.toolchain.toolchain import Toolchain

from tests.bench.compile.demo_bundle import measure_demo_bundles
from tests.bench.compile.plan import Plan
from tests.bench.compile.results import Results
from tests.bench.compile.resumption import measure_resumptions
from tests.bench.compile.route import Route, measure_small_routes, measure_wide_route
from tests.bench.compile.speed import estimate_speed
from tests.bench.compile.wide_build import measure_wide_build
from tests.bench.machine import Machine
from tests.bench.progress import say


class CompileBench:
    """Measures according to a plan.

    Args:
        wide_route: also compile one layer in real widths the vendor's way.
        scratch: an empty directory.
    """

    def __init__(self, plan: Plan, toolchain: Toolchain, wide_route: bool, scratch: Path) -> None:
        self._plan = plan
        self._toolchain = toolchain
        self._wide_route = wide_route
        self._scratch = scratch
        self._checkpoint = scratch / "checkpoint"

    def run(self, command: str) -> Results:
        """Measures everything.

        Raises:
            CommandError: a command failed.
        """
        plan, scratch, machine = self._plan, self._scratch, Machine.this()
        routes = list(self._small_routes())  # first: what is quick shows at once if something does not work
        demo = measure_demo_bundles(plan.questions, plan.answer_tokens, scratch)
        speed = estimate_speed(plan.estimated, scratch)
        say(f"writing the checkpoint: {plan.model}")
        plan.write(self._checkpoint)
        build = measure_wide_build(plan, self._checkpoint, scratch)
        shutil.rmtree(scratch / "uninterrupted")
        if self._wide_route and routes:
            routes.append(measure_wide_route(plan, self._checkpoint, scratch))
        return Results(
            command=command,
            date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            machine=machine,
            toolchain=self._toolchain.version,
            build=build,
            resumptions=list(measure_resumptions(build, self._checkpoint, scratch)),
            speed=speed,
            routes=routes,
            demo=demo,
        )

    def _small_routes(self) -> Iterator[Route]:
        if self._toolchain.python is None:
            say("The vendor's own way is left out: wizardtpu-compile toolchain install --frontend-onnx")
            return
        yield from measure_small_routes(self._plan.route_rounds, self._scratch)
