"""What must hold between the parts of a manifest, beyond the type of each."""

from __future__ import annotations

from collections import Counter, defaultdict

from wizardtpud.errors import BundleError
from wizardtpud.model.manifest import TOKENIZER_NAME, Manifest, NetworkEntry

_FIELDS = {
    "embedding": {"tokens"},
    "block": {"tokens", "history", "first_layer", "layers"},
    "lm_head": set[str](),
    "greedy_head": set[str](),
}
"""Which optional fields a network of each role has."""


def check(manifest: Manifest) -> None:
    """Checks a manifest against itself.

    Raises:
        BundleError: it contradicts itself, or describes what this daemon cannot run.
    """
    check_model(manifest)
    _check_files(manifest)


def check_model(manifest: Manifest) -> None:
    """Checks all but the files.

    Raises:
        BundleError: as `check`.
    """
    _check_architecture(manifest)
    if manifest.layout == "wizardtpu":
        _check_networks(manifest)
    else:
        _check_foreign(manifest)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise BundleError(f"the manifest is inconsistent: {problem}; rebuild the bundle with wizardtpu-compile")


def _check_files(manifest: Manifest) -> None:
    _require(TOKENIZER_NAME in manifest.files, f"{TOKENIZER_NAME} is not among its files")
    for network in manifest.networks:
        _require(
            network.file in manifest.files, f"{network.name} is in {network.file}, which is not among its files"
        )


def _check_architecture(manifest: Manifest) -> None:
    numbers = manifest.architecture
    _require(numbers.heads % numbers.kv_heads == 0, "heads is not a multiple of kv_heads")
    _require(manifest.context >= 2, "context has no room for an answer")
    known = range(numbers.vocabulary)
    _require(all(token in known for token in manifest.end_of_text), "end_of_text is outside the vocabulary")
    _require(manifest.target != "cpu" or manifest.devices == 1, "several devices are for chips alone")
    if manifest.layout != "llm-convert":  # in which positions are rotations, and heads of any width
        _require(numbers.heads * numbers.head_dim == numbers.hidden, "heads * head_dim is not hidden")
        _require(manifest.context <= numbers.positions, "context is larger than positions")


def _check_foreign(manifest: Manifest) -> None:
    layout = f"the layout {manifest.layout}"
    _require(manifest.target == "bm1684x", f"{layout} is for bm1684x alone")
    _require(not manifest.networks, f"the networks of {layout} are not listed")
    _require(manifest.layout == "llm-convert" or not manifest.sampling, f"{layout} has no logits to sample from")


def _check_networks(manifest: Manifest) -> None:
    _require(bool(manifest.networks), "there are no networks")
    _require(manifest.quantization is not None, "there is no quantization")
    for network in manifest.networks:
        _check_network(network, manifest)
    _check_names(manifest)
    _check_shapes(manifest)


def _check_network(network: NetworkEntry, manifest: Manifest) -> None:
    for field in ("tokens", "history", "first_layer", "layers"):
        present, expected = getattr(network, field) is not None, field in _FIELDS[network.role]
        _require(present == expected, f"{network.name} must {'' if expected else 'not '}have {field}")
    _require((network.tokens or 1) <= manifest.context, f"{network.name} takes more tokens than the context")
    _require(
        network.history in (None, manifest.context), f"{network.name} has a history of other than context rows"
    )


def _check_names(manifest: Manifest) -> None:
    for name, count in Counter(network.name for network in manifest.networks).items():
        _require(count == 1, f"there are {count} networks named {name}")


def _check_shapes(manifest: Manifest) -> None:
    """Every shape that has a block or an embedding has all blocks, the embedding and the head."""
    ranges = defaultdict[tuple[int, int], list[tuple[int, int]]](list)
    embeddings, heads = Counter[tuple[int, int]](), Counter[int]()
    for network in manifest.networks:
        shape = (network.batch, network.tokens or 0)
        if network.role == "block":
            ranges[shape].append((network.first_layer or 0, network.layers or 1))
        elif network.role == "embedding":
            embeddings[shape] += 1
        elif network.role == "lm_head":
            heads[network.batch] += 1
    _require((1, 1) in ranges, "there are no networks for one token of one sequence")
    for batch, tokens in sorted({*ranges, *embeddings}):
        what = f"for {tokens} tokens of {batch} sequences"
        complete = _cover(ranges[batch, tokens], manifest.architecture.layers)
        _require(complete, f"the blocks {what} do not cover every layer once")
        _require(embeddings[batch, tokens] == 1, f"there is not one embedding {what}")
        _require(heads[batch] == 1, f"there is not one lm_head {what}")


def _cover(ranges: list[tuple[int, int]], layers: int) -> bool:
    """Whether ranges, each a first layer and a number of layers, have every layer once."""
    end = 0
    for first, count in sorted(ranges):
        if first != end:
            return False
        end += count
    return end == layers
