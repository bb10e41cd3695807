"""Compares a bundle for the BM1684X with the checkpoint it was made from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import TOKENIZER_NAME, Manifest, NetworkEntry
from wizardtpud.text.prompt_template import Message, PromptTemplate

from wizardtpu_compile.bmodel.extraction import extract
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.tpu import rounded
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.network.reference import Arrays
from wizardtpu_compile.precision import Float, WeightFormat
from wizardtpu_compile.simulation.simulator import Simulator
from wizardtpu_compile.targets.tpu.plan import MODEL_NAME
from wizardtpu_compile.verification.agreement import Agreement, Read, agreement, next_logits
from wizardtpu_compile.verification.comparison import Comparison, Expectation
from wizardtpu_compile.verification.flow import Flow
from wizardtpu_compile.verification.inputs import Shape

_LARGEST_SIMULATED = 3_500_000_000  # bytes; of its 4 GiB the rest is for caches, inputs and outputs
PROMPTS = ("write quicksort", "write a function that reverses a string", "write fibonacci")


@dataclass(frozen=True)
class Greedy:
    """Agreement of the bundle's answers with the two references."""

    prompts: list[str]
    answers: list[list[int]]
    float_reference: Agreement
    quantized_reference: Agreement


class BundleVerifier:
    """A bundle and the checkpoint it is said to be made from."""

    def __init__(self, bundle: Bundle, checkpoint: Checkpoint, simulator: Simulator) -> None:
        """Refuses what cannot be compared.

        Raises:
            OptionError: the bundle is for another target or of another model, or for several devices.
        """
        self._bundle, self._checkpoint, self._simulator = bundle, checkpoint, simulator
        _check(bundle.manifest, checkpoint)
        self._descriptions = _descriptions(bundle.manifest, checkpoint)

    def compare(
        self, layers: Sequence[int] | None = None, shapes: Sequence[tuple[int, int]] | None = None
    ) -> Iterator[Comparison]:
        """Each network by itself, with what the float reference made of some tokens up to it as inputs.

        Args:
            layers: which layers to look at; None for all.
            shapes: sequences and new tokens of each; None for every shape the bundle has.

        Raises:
            OptionError: the bundle has no such layer or shape.
            VerificationError: the runtime refused a network or ended.
        """
        self._check_layers(layers)
        context = self._bundle.manifest.context
        order = self._chosen_shapes(shapes)
        flow = Flow(self._checkpoint.config, [Shape(b, t, context, visible=context // 2) for b, t in order])
        for description in self._descriptions:
            inputs = flow.inputs(description)
            flow.advance(description, inputs)
            wanted = [entry for entry in self._entries(description) if _is_wanted(entry, layers, shapes)]
            yield from self._compare(description, {e.name: _for_entry(e, inputs, order) for e in wanted})

    def _compare(self, description: Network, inputs: Mapping[str, Arrays]) -> Iterator[Comparison]:
        """Shapes of one network, by name."""
        form = self._form(description)
        expected = [Expectation.of(name, description, given, form) for name, given in inputs.items()]
        if not expected:
            return iter(())
        runs = [(expectation.network, expectation.inputs) for expectation in expected]
        # By themselves: the simulator has less memory than a whole model may take.
        with tempfile.TemporaryDirectory(prefix="wizardtpu-verify-") as directory:
            model = Path(directory) / MODEL_NAME
            extract(self._bundle.path(MODEL_NAME), set(inputs), model)
            found = self._simulator.run_networks(model, runs)
        return (expectation.compare(outputs) for expectation, outputs in zip(expected, found, strict=True))

    def converse(self, prompts: Sequence[str], tokens: int) -> Greedy:
        """Continues instructions greedily, `tokens` tokens each, and asks both references about each token.

        Raises:
            OptionError: see `check_conversation`.
            VerificationError: the runtime refused the bundle or ended.
        """
        self.check_conversation()
        ids = [self._encode(prompt) for prompt in prompts]
        answers = self._simulator.continue_greedily(self._bundle.directory, "simulator", ids, tokens)
        texts = [prompt + answer for prompt, answer in zip(ids, answers, strict=True)]

        def agree(reads: Callable[[Network], Read]) -> Agreement:
            return agreement(ids, answers, next_logits(self._descriptions, texts, reads))

        exact = agree(lambda _network: lambda weight: weight.read())
        return Greedy(list(prompts), answers, exact, agree(lambda network: rounded(self._form(network))))

    def check_conversation(self) -> None:
        """Refuses what `converse` cannot do.

        Raises:
            OptionError: the runtime drives a chip, which the engine cannot yet, or the simulator is too small.
        """
        if not self._simulator.is_simulated:
            raise OptionError(
                "prompts are continued on the simulator alone: give --tokens 0, or its directory with --library"
            )
        size = self._bundle.path(MODEL_NAME).stat().st_size
        if size > _LARGEST_SIMULATED:
            raise OptionError(
                f"the bundle's networks take {size / 1e9:.1f} GB, and the simulator has memory for "
                f"{_LARGEST_SIMULATED / 1e9:.1f} GB at a time: nothing can be continued on it, give --tokens 0"
            )

    def _chosen_shapes(self, shapes: Sequence[tuple[int, int]] | None) -> list[tuple[int, int]]:
        known = sorted({(n.batch, n.tokens) for n in self._bundle.manifest.networks if n.tokens is not None})
        if unknown := [shape for shape in shapes or () if shape not in known]:
            names = ", ".join(f"{batch}x{tokens}" for batch, tokens in known)
            raise OptionError(f"--shapes {unknown[0][0]}x{unknown[0][1]}: the bundle has {names}")
        return known if shapes is None else sorted(set(shapes))

    def _check_layers(self, layers: Sequence[int] | None) -> None:
        count = self._bundle.manifest.architecture.layers
        if unknown := [layer for layer in layers or () if not 0 <= layer < count]:
            raise OptionError(f"--layers {unknown[0]}: the model has layers 0 to {count - 1}")

    def _encode(self, instruction: str) -> list[int]:
        tokenizer = Tokenizer.from_file(str(self._bundle.path(TOKENIZER_NAME)))
        prompt = PromptTemplate(self._bundle.manifest.chat_template).render([Message("user", instruction)])
        ids: list[int] = tokenizer.encode(prompt, add_special_tokens=False).ids
        return ids

    def _entries(self, description: Network) -> list[NetworkEntry]:
        return [
            entry
            for entry in self._bundle.manifest.networks
            if entry.role == description.role and entry.first_layer == description.layer
        ]

    def _form(self, description: Network) -> WeightFormat:
        stored = self._bundle.manifest.quantization
        assert stored is not None  # in our own layout
        precision = {"block": stored.blocks, "lm_head": stored.lm_head}.get(description.role, stored.embedding)
        activations: Float = "bf16" if stored.embedding == "bf16" else "f16"
        return WeightFormat.of(precision, stored.group_size, activations)


def _for_entry(entry: NetworkEntry, inputs: Sequence[Arrays], order: Sequence[tuple[int, int]]) -> Arrays:
    """The inputs for a shape; a head's rows are those of all sequences, repeated until there are enough."""
    if entry.tokens is not None:
        return inputs[order.index((entry.batch, entry.tokens))]
    (name,) = inputs[0]
    rows = np.concatenate([run[name] for run in inputs])
    return {name: np.resize(rows, (entry.batch, *rows.shape[1:]))}


def _is_wanted(
    entry: NetworkEntry, layers: Sequence[int] | None, shapes: Sequence[tuple[int, int]] | None
) -> bool:
    if layers is not None and entry.first_layer is not None:
        first = entry.first_layer
        if not any(layer in layers for layer in range(first, first + (entry.layers or 1))):
            return False
    return shapes is None or entry.tokens is None or (entry.batch, entry.tokens) in shapes


def _descriptions(manifest: Manifest, checkpoint: Checkpoint) -> list[Network]:
    """The networks in the order a token passes them, as many layers in each as the bundle's have."""
    blocks = {
        n.first_layer: n.layers or 1 for n in manifest.networks if n.role == "block" and n.first_layer is not None
    }
    return [
        gpt_bigcode.embedding(checkpoint),
        *(gpt_bigcode.block(checkpoint, first, layers) for first, layers in sorted(blocks.items())),
        gpt_bigcode.lm_head(checkpoint),
        gpt_bigcode.greedy_head(checkpoint),
    ]


def _check(manifest: Manifest, checkpoint: Checkpoint) -> None:
    if manifest.target != "bm1684x":
        raise OptionError(
            f"the bundle is for {manifest.target}: its networks were compared with the checkpoint "
            "when it was built"
        )
    if manifest.layout != "wizardtpu":
        raise OptionError(
            f"the bundle is in the layout {manifest.layout}, and only networks that wizardtpu-compile made can be "
            "compared with a checkpoint"
        )
    if manifest.devices != 1:
        raise OptionError(f"the bundle is for {manifest.devices} devices together, and the simulator has one")
    config, numbers = checkpoint.config, manifest.architecture
    expected = (config.n_layer, config.n_embd, config.n_head, config.inner, config.vocab_size)
    found = (numbers.layers, numbers.hidden, numbers.heads, numbers.inner, numbers.vocabulary)
    if found != expected:
        raise OptionError(
            f"the bundle was not made from {checkpoint.directory}: its layers, hidden, heads, inner and "
            f"vocabulary are {', '.join(map(str, found))}, the checkpoint {', '.join(map(str, expected))}"
        )
