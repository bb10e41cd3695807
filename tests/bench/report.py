"""The results as a document for people."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.decode_traffic import DecodeTraffic
from tests.bench.first_token import QUESTION, FirstToken
from tests.bench.lap import Lap
from tests.bench.race import Race, Standing
from tests.bench.results import Results
from tests.bench.series import Series
from tests.bench.serving import Serving
from tests.bench.table import spread, table

_PAIRS = (
    ("wizardtpud f32", "transformers f32"),
    ("wizardtpud f32", "CTranslate2 f32"),
    ("wizardtpud int8", "CTranslate2 int8"),
    ("wizardtpud int4", "CTranslate2 int8"),
)
_AIM_MICROSECONDS = 150


def document(results: Results) -> str:
    """The part of docs/BENCHMARKS.md that is about serving."""
    parts = [
        _introduction(results),
        _server_cpu(results.serving),
        _rates(results.serving),
        _first_token(results.first_token),
        _peers(results),
        _traffic(results.traffic),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(results: Results) -> str:
    machine, plan = results.machine, results.plan
    versions = ", ".join(f"{name} {number}" for name, number in {**machine.versions, **results.peers}.items())
    larger = plan.larger
    return f"""# Benchmarks
`{results.command}` measured this part on {results.date}.

- Machine: {machine.processor}, {machine.cores} cores, {machine.memory / 2**30:.0f} GiB, {machine.system}. \
In the minute before the run {machine.load:.1f} processes wanted a core.
- Software: Python {machine.python}, {versions}.
- Everything is greedy and has **one thread** for the model's arithmetic. Nothing here is a TPU's speed.
- What is compared takes turns within one run. A value is the median of {plan.rounds} rounds, with the lowest and
  the highest in brackets. A ratio is the median of the ratios of each round.
- *demo* is the demonstration model in `compile/demo/` (3 layers, 256 wide), asked real questions.
- *larger* is a random model ({larger.layers} layers, {larger.hidden} wide, vocabulary {larger.vocabulary}): its
  arithmetic takes most of the time. *tiny* is a random one (1 layer, 64 wide) with almost no arithmetic. Random
  models never end their text.
- *bare* is the engine in a loop: token ids in, token ids out, no daemon, no text, no wire."""


def _server_cpu(measured: Sequence[Serving]) -> str:
    rows = [
        (
            f"{each.model} {each.precision}",
            str(each.streams),
            spread(Series([_cpu(lap) for lap in each.bare]), _microseconds),
            spread(Series([_cpu(lap) for lap in each.served]), _microseconds),
            f"**{spread(each.server_cpu, _microseconds)}**",
            spread(each.client_cpu, _microseconds),
            f"{Series([lap.messages / lap.tokens for lap in each.served]).median:.2f}",
        )
        for each in measured
        if each.model != "larger"
    ]
    header = "model | streams | bare | daemon | server | client | messages per token"
    return f"""## Processor time per streamed token
{table(header, rows)}

Microseconds of processor time for each generated token, on all cores together. *bare* and *daemon* are measured on
the processes; *server* is the difference, so an estimate of what queue, text, events and gRPC cost on top of the
model (aim: at most {_AIM_MICROSECONDS}). It is exact to a few microseconds where *bare* is small, and as noisy as
*bare* where that is large; for that reason *larger* is left out. *client* is the Python client. Prompts are
read in both, so their cost is in both."""


def _rates(measured: Sequence[Serving]) -> str:
    rows = []
    for each in measured:
        bare, served = (Series([lap.decode_rate for lap in laps]) for laps in (each.bare, each.served))
        bare_all, served_all = (Series([lap.rate for lap in laps]) for laps in (each.bare, each.served))
        rows.append(
            (
                f"{each.model} {each.precision}",
                str(each.streams),
                spread(bare, _whole),
                spread(served, _whole),
                f"**{spread(served.over(bare), _ratio)}**",
                _whole(bare_all.median),
                _whole(served_all.median),
                _ratio(served_all.over(bare_all).median),
            )
        )
    header = (
        "model | streams | bare | daemon and client | ratio | bare, with prompts | daemon, with prompts | ratio"
    )
    return f"""## Tokens per second, and what is left of them at the client
{table(header, rows)}

All streams together. The first three count from when every stream has its first token; *with prompts* counts from
the first request. The engine takes the streams' steps one after the other, so eight share the speed of one.
The daemon has a second core for text and wire here, and the client needs part of it."""


def _first_token(measured: FirstToken) -> str:
    rows = [
        (name, _milliseconds(series.median), _milliseconds(series.p90), _milliseconds(series.highest))
        for name, series in (
            ("bare engine", measured.engine),
            ("daemon's clock, from the request's arrival", measured.daemon),
            ("client's clock, from the call to the first text", measured.client),
        )
    ]
    return f"""## Time to the first token
{table("where | median ms | 90 % within ms | longest ms", rows)}

"{QUESTION}" to the demo model (f32), a prompt of {measured.prompt_tokens} tokens,
{len(measured.client.values)} times, one after the other, with no other request under way. The first, cold one does
not count."""


def _peers(results: Results) -> str:
    title = "## Beside other implementations"
    if not results.peers:
        title += (
            "\n**The peers were not run**: the environment `.venv-reference` was not there "
            "(`make .venv-reference/.ready` makes it). Only this project's own numbers follow."
        )
    explanation = """Each prompt is answered twice, with one new token and in full. *first token* is the time of
the former; *decode* is the rate of the further tokens, from the difference. *same answers* counts those that
are, token for token, what wizardtpud f32 gives; quantized weights may answer differently. The peers read the same
checkpoint, CTranslate2 through its own converter, and run at batch 1 with one thread, as a library in a process of
their own."""
    return "\n\n".join([title, *(_race(each) for each in results.races), explanation])


def _race(measured: Race) -> str:
    by_name = {standing.name: standing for standing in measured.standings}
    rows = [
        (
            each.name,
            spread(each.decode_rates, _whole),
            spread(each.first_tokens, _milliseconds),
            f"{each.same_answers} of {measured.prompts}",
        )
        for each in measured.standings
    ]
    header = "implementation | decode tokens/s | first token ms | same answers"
    title = f"### {measured.model}: {measured.prompts} prompts, {measured.new_tokens} new tokens"
    text = f"{title}\n{table(header, rows)}"
    pairs = [(by_name[ours], by_name[theirs]) for ours, theirs in _PAIRS if theirs in by_name]
    if not pairs:
        return text
    ratios = [_pair(ours, theirs) for ours, theirs in pairs]
    return f"{text}\n\n{table('above 1: wizardtpud is faster | decode | first token', ratios)}"


def _pair(ours: Standing, theirs: Standing) -> tuple[str, ...]:
    return (
        f"{ours.name} : {theirs.name}",
        spread(ours.decode_rates.over(theirs.decode_rates), _ratio),
        spread(theirs.first_tokens.over(ours.first_tokens), _ratio),
    )


def _traffic(measured: Sequence[DecodeTraffic]) -> str:
    rows = [
        (
            f"{each.model}, {each.sampling}",
            f"{each.launches:.0f}",
            f"{each.copies_to_device:.0f}",
            f"{each.bytes_to_device:.0f}",
            f"{each.copies_to_host:.0f}",
            f"{each.bytes_to_host:.0f}",
            f"{each.bytes_within_device:.0f}",
        )
        for each in measured
    ]
    header = (
        "model | launches | copies to the device | bytes | copies to the host | bytes | bytes within the device"
    )
    return f"""## What a decoded token asks of the device
{table(header, rows)}

Counted between engine and device, so the same in every run: one launch for the embedding, one per layer, one for
the logits, and for greedy decoding one that picks the token. To the device go a token id, its position and the
attention mask, in one copy; to the host comes a token id, or all logits where tokens are sampled. Keys, values and
hidden states stay where they are."""


def _cpu(lap: Lap) -> float:
    return lap.cpu_seconds / lap.tokens


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.0f}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"


def _whole(number: float) -> str:
    return f"{number:.0f}"


def _ratio(number: float) -> str:
    return f"{number:.2f}"
