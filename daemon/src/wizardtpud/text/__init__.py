"""Between text and token ids: the prompt template, the tokenizer, the incremental detokenizer, stop sequences."""
