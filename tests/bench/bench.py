"""The whole run, part by part."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wizardtpu_compile.options.cpu import Precision

from tests.bench import model
from tests.bench.contender import Contender
from tests.bench.decode_traffic import count_traffic
from tests.bench.engine_loop import EngineLoop
from tests.bench.first_token import measure_first_token
from tests.bench.machine import Machine
from tests.bench.model import Model
from tests.bench.peer import Peer
from tests.bench.plan import Plan
from tests.bench.progress import say
from tests.bench.race import Race, race
from tests.bench.results import Results
from tests.bench.serving import SLOTS, Serving, measure_serving

_PRECISIONS: tuple[Precision, ...] = ("f32", "int8", "int4")
_CTRANSLATE2 = {"f32": "float32", "int8": "int8"}


class Bench:
    """Measures according to a plan.

    Args:
        reference: an interpreter that has the peers; None leaves them out.
        scratch: an empty directory.
    """

    def __init__(self, plan: Plan, reference: Path | None, scratch: Path) -> None:
        self._plan = plan
        self._reference = reference
        self._scratch = scratch
        self._peers: dict[str, str] = {}

    def run(self, command: str) -> Results:
        """Measures everything, in minutes.

        Raises:
            PeerError: a peer is there but does not work.
        """
        plan, machine = self._plan, Machine.this()
        demo = model.demo(self._scratch, plan.questions)
        larger = self._larger(plan.larger_prompts)
        return Results(
            command=command,
            date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            plan=plan,
            machine=machine,
            races=[self._race(demo), self._race(larger)],  # first: a peer that does not work shows at once
            first_token=measure_first_token(demo, plan.first_tokens, self._scratch),
            serving=list(self._serving()),
            traffic=[*count_traffic(demo), *count_traffic(larger)],
            peers=self._peers,
        )

    def _serving(self) -> Iterator[Serving]:
        demo = model.demo(self._scratch, self._plan.served_questions)
        tiny = model.tiny(self._scratch, self._plan.tiny_requests)
        subjects: list[tuple[Model, Precision]] = [
            *((demo, precision) for precision in _PRECISIONS),
            (self._larger(prompts=SLOTS), "int8"),
            (tiny, "f32"),
        ]
        for subject, precision in subjects:
            yield from measure_serving(subject, precision, (1, SLOTS), self._plan.rounds, self._scratch)

    def _larger(self, prompts: int) -> Model:
        return model.larger(self._scratch, self._plan.larger, prompts, self._plan.larger_tokens)

    def _race(self, subject: Model) -> Race:
        with self._contenders(subject) as contenders:
            return race(subject, contenders, self._plan.rounds)

    @contextmanager
    def _contenders(self, subject: Model) -> Iterator[list[Contender]]:
        with ExitStack() as stack:
            contenders: list[Contender] = [
                stack.enter_context(EngineLoop.open(f"wizardtpud {precision}", subject.bundle(precision)))
                for precision in _PRECISIONS
            ]
            if self._reference is not None:
                contenders += self._start_peers(subject, self._reference, stack)
            yield contenders

    def _start_peers(self, subject: Model, python: Path, stack: ExitStack) -> list[Peer]:
        say(f"{subject.name}: starting transformers and CTranslate2")
        checkpoint = str(subject.checkpoint)
        starts = [Peer.start("transformers f32", python, "transformers_peer", checkpoint)]
        starts += [
            Peer.start(f"CTranslate2 {ours}", python, "ctranslate2_peer", checkpoint, theirs)
            for ours, theirs in _CTRANSLATE2.items()
        ]
        peers = [stack.enter_context(start) for start in starts]
        for peer in peers:
            self._peers.update(peer.versions)
        return peers
