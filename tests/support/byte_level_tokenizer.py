"""A byte-level BPE tokenizer, trained in a moment."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"

_CORPUS = ("def quicksort(items):\n    return sorted(items)\n", "naïve café, 你好 世界", "🦊🦊 émoji 👩‍👩‍👧")


def byte_level_backend(vocabulary: int = 400, added: Sequence[AddedToken] = ()) -> Tokenizer:
    """A tokenizer of the `tokenizers` library that can spell every byte; id 0 is the end of the text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END_OF_TEXT],
        show_progress=False,
    )
    backend.train_from_iterator(_CORPUS * 3, trainer)
    backend.add_tokens(list(added))
    return backend
