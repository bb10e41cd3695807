"""The results as a part of the document for people."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.compile.demo_bundle import DemoBundle
from tests.bench.compile.plan import LAYERS, PUBLISHED_LAYERS
from tests.bench.compile.results import Results
from tests.bench.compile.resumption import Resumption
from tests.bench.compile.route import Route
from tests.bench.compile.speed import LONG, PROMPT, SHORT, SLOTS, Speed
from tests.bench.compile.wide_build import WideBuild
from tests.bench.table import spread, table

_GB, _MB = 1e9, 1e6


def part(results: Results) -> str:
    """The part of docs/BENCHMARKS.md that is about compiling."""
    sections = [
        _introduction(results),
        _build(results.build),
        _extrapolation(results.build),
        _resumptions(results.resumptions, results.build),
        _speed(results.speed),
        _routes(results.routes),
        _demo(results.demo),
    ]
    return "\n\n".join(sections) + "\n"


def _introduction(results: Results) -> str:
    machine = results.machine
    return f"""# Benchmarks of compiling for the BM1684X
`{results.command}` made this part on {results.date}.

- Machine: {machine.processor}, {machine.cores} cores, {machine.memory / 2**30:.0f} GiB, {machine.system}. \
In the minute before the run {machine.load:.1f} processes wanted a core.
- Software: Python {machine.python}, numpy {machine.versions["numpy"]}, TPU-MLIR {results.toolchain}.
- **No chip was there.** Each section says whether its numbers are measured on this machine, extrapolated from what
  was measured, or estimated by the vendor's compiler.
- GB and MB are powers of ten. Everything is int4 in groups of 64 where nothing else is said."""


def _build(build: WideBuild) -> str:
    step = build.largest_step
    rows = [
        ("the whole command", f"{build.seconds:.0f} s", ""),
        ("a layer, wall clock", f"{build.layer_span:.1f} s", _met(build.layer_span, 150, "150 s")),
        (f"a layer, its steps' time shared by {build.jobs}", f"{build.layer_work / build.jobs:.1f} s", ""),
        ("embedding, the same", f"{build.embedding_work / build.jobs:.1f} s", ""),
        ("heads, the same", f"{build.heads_work / build.jobs:.1f} s", ""),
        ("before the first step and after the last", f"{build.outside:.1f} s", ""),
        (
            f"memory of the largest step's program ({step.name})",
            _gigabytes(step.peak_memory),
            _met(step.peak_memory, 6e9, "6 GB"),
        ),
        (
            "memory of our process, which writes the weights",
            _gigabytes(build.own_peak),
            _met(build.own_peak, 6e9, "6 GB"),
        ),
        ("size of the bundle", _gigabytes(build.bundle), ""),
        ("files of one layer, all shapes", _gigabytes(build.layer_files), ""),
        (
            "most disk that bundle and work directory took",
            _gigabytes(build.disk_peak),
            _met(build.disk_peak, build.disk_limit(LAYERS), _gigabytes(build.disk_limit(LAYERS))),
        ),
        ("the same, without the bundle's file and the embedding's", _gigabytes(build.disk_peak_of_blocks), ""),
    ]
    return f"""## Building {LAYERS} layers: measured
{build.model[0].upper()}{build.model[1:]}, context {build.context}, the usual shapes, `--check none`, \
{build.jobs} steps at once, one run.

{table("what | measured | at most", rows)}

Memory is the highest resident set of a process, as the kernel counts it. Disk was looked at twenty times a second;
it may be 1.5 times the bundle and one layer's files. Files of the embedding are needed once, and weigh most where
there are few layers. With enough free memory its large steps run first, side by side; otherwise small steps of the
layers run beside them, and a layer's wall clock includes that."""


def _extrapolation(build: WideBuild) -> str:
    layers = PUBLISHED_LAYERS
    layer, embedding, heads = (
        seconds / build.jobs for seconds in (build.layer_work, build.embedding_work, build.heads_work)
    )
    seconds, bundle, limit = build.seconds_of(layers), build.bundle_of(layers), build.disk_limit(layers)
    rest = build.outside * bundle / build.bundle
    rows = [
        ("time", f"{seconds / 60:.0f} min", _met(seconds, 7200, "120 min")),
        ("size of the bundle", _gigabytes(bundle), ""),
        ("most disk", _gigabytes(build.full_disk_peak), _met(build.full_disk_peak, limit, _gigabytes(limit))),
    ]
    return f"""## Building {layers} layers: extrapolated
{table("what | extrapolated | at most", rows)}

- Time: {layers} x {layer:.1f} s for the layers + {embedding:.1f} s for the embedding + {heads:.1f} s for the \
heads + {rest:.1f} s outside of the steps, which grows with the bundle = {seconds:.0f} s. \
For {LAYERS} layers the same sum gives {build.seconds_of(LAYERS):.0f} s; {build.seconds:.0f} s were measured.
- Bundle: {build.bundle / _MB:.0f} MB + {layers - LAYERS} x {build.layer_in_bundle / _MB:.1f} MB.
- Disk: the bundle and {build.disk_peak_of_blocks / _GB:.2f} GB of layers and heads under way, or what the \
embedding takes in the beginning, whichever is more."""


def _resumptions(measured: Sequence[Resumption], build: WideBuild) -> str:
    rows = [
        (
            each.moment,
            f"{each.killed_after:.0f} s",
            f"{each.done} of {each.steps}",
            str(each.kept),
            f"{each.seconds:.0f} s",
            "the same" if each.same else "**another**",
        )
        for each in measured
    ]
    return f"""## Builds that were killed: measured
{table("killed (SIGKILL) | after | steps done | of them kept | the second run took | sha256 of the bmodel", rows)}

The same build, once for each row; uninterrupted it took {build.seconds:.0f} s and had {len(build.steps)} steps. \
*The same* is a file that is, byte for byte, that of the uninterrupted build. A step is done again if files of
it that a later step needs are gone."""


def _speed(speed: Speed) -> str:
    report = speed.report
    return f"""## Speed of {report.model} on the chip: the compiler's estimate
{table(f"what | context {SHORT} | context {LONG} | aim for wizardcoder-15b", _speed_rows(speed))}

Speeds and times are aimed at for a context of {SHORT}. {report.layers} layers, {report.hidden} wide, lm_head in \
{report.precisions[0].lm_head}. {report.basis} \
Networks of one stream first put its history and the new rows together, so that both may be anywhere in the \
device's memory: that time is counted, and grows with the context. The command took {speed.seconds:.0f} s and \
{_gigabytes(speed.largest_peak)} of memory in the largest process (measured)."""


def _speed_rows(speed: Speed) -> list[tuple[str, ...]]:
    one, many = ([speed.rate(context, slots) for context in (SHORT, LONG)] for slots in (1, SLOTS))
    first = [speed.first_token(context) for context in (SHORT, LONG)]
    slower = (1 - one[1] / one[0]) * 100
    rows = [
        ("tokens/s, one stream", one, _reached(one[0], 6)),
        (f"ms to the first token, prompt of {PROMPT}", first, _met(first[0], 210, "at most 210")),
        (f"tokens/s, {SLOTS} slots together", many, _reached(many[0], 45)),
    ]
    cells = [(name, f"{short:.2f}", f"{long:.2f}", aim) for name, (short, long), aim in rows]
    difference = (f"one stream, against context {SHORT}", "", f"{-slower:+.1f} %", _met(slower, 3, "within 3 %"))
    return [*cells, difference]


def _routes(measured: Sequence[Route]) -> str:
    title = "## Beside the vendor's own way: measured"
    if not measured:
        return (
            f"{title}\n**Not run**: the vendor's front end for ONNX was not installed "
            "(`wizardtpu-compile toolchain install --frontend-onnx`)."
        )
    rows = [
        (
            f"{each.layer}, {each.shapes} ({each.networks})",
            spread(each.direct, _seconds),
            spread(each.onnx, _seconds),
            f"**{spread(each.onnx.over(each.direct), _ratio)}**",
            _gigabytes(each.direct_peak),
            _gigabytes(each.onnx_peak),
            f"**{each.onnx_peak / each.direct_peak:.1f}**",
        )
        for each in measured
    ]
    header = "a layer, shapes | our s | vendor's s | ratio | our memory | vendor's memory | ratio"
    counts = {each.layer: len(each.direct.values) for each in measured}
    rounds = ", ".join(f"{layer}: {count}" for layer, count in counts.items())
    return f"""{title}
{table(header, rows)}

*our*: writing the quantized weights once, and running the vendor's compiler on lowered text for each shape.
*vendor's*: `--frontend onnx`, which exports ONNX and runs `model_transform` and `model_deploy` for each shape.
Both take turns, one step at a time; medians, with the lowest and the highest in brackets. Rounds: {rounds}.
Above 1: ours takes less. Time is that of the steps; memory that of the largest process."""


def _demo(measured: Sequence[DemoBundle]) -> str:
    rows = [
        (
            each.precision,
            f"{each.size / _MB:.2f} MB",
            str(each.networks),
            f"{each.seconds:.1f} s",
            f"{each.lowest_cosine:.6f}",
            f"{each.equal_to_float} of {each.tokens}",
            f"{each.equal_to_rounded} of {each.tokens}",
        )
        for each in measured
    ]
    header = "layers | bundle | networks | build | lowest cosine | tokens as float | tokens as rounded"
    return f"""## Bundles of the demonstration model: measured
{table(header, rows)}

The whole of `compile/demo/` for the chip, with the default options but `--check none`. The rest is what
`wizardtpu-compile verify` found on the vendor's simulator: the lowest cosine of
{measured[0].compared} networks with the reference that has the same rounded weights, and, of the tokens that the
daemon's engine chose greedily (prompts: {measured[0].prompts}), how many the reference would have chosen too, with
the checkpoint's weights (*float*) and with the rounded ones."""


def _met(value: float, limit: float, text: str) -> str:
    return f"{text}: {'met' if value <= limit else '**missed**'}"


def _reached(value: float, least: float) -> str:
    return f"at least {least:g}: {'met' if value >= least else '**missed**'}"


def _gigabytes(size: float) -> str:
    return f"{size / _GB:.2f} GB"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f}"


def _ratio(number: float) -> str:
    return f"{number:.1f}"
