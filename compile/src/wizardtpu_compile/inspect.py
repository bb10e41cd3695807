"""What a bundle holds, for a person or as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from wizardtpud.model.bundle import Bundle


def describe(bundle: Bundle) -> Iterator[str]:
    """Lines of text."""
    manifest, numbers = bundle.manifest, bundle.manifest.architecture
    yield f"{manifest.name}: {numbers.family} for {manifest.target}, context {manifest.context}"
    yield f"sha256 {bundle.digest}"
    yield (
        f"{numbers.layers} layers, {numbers.heads} heads of {numbers.head_dim}, hidden {numbers.hidden}, "
        f"inner {numbers.inner}, vocabulary {numbers.vocabulary}, positions {numbers.positions}"
    )
    weights = manifest.quantization
    groups = f", groups of {weights.group_size}" if weights.group_size else ""
    yield f"weights: blocks {weights.blocks}, lm_head {weights.lm_head}, embedding {weights.embedding}{groups}"
    yield "made with " + ", ".join(f"{tool} {version}" for tool, version in manifest.made_with.items())
    yield ""
    yield from table(
        ("network", "batch", "tokens", "history", "file"),
        [(n.name, str(n.batch), str(n.tokens or ""), str(n.history or ""), n.file) for n in manifest.networks],
    )
    yield ""
    yield from table(
        ("file", "bytes", "sha256"),
        [(name, str(entry.bytes), entry.sha256) for name, entry in manifest.files.items()],
    )


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
