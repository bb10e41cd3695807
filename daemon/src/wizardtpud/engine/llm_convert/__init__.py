"""The forward pass over networks that the vendor's `llm_convert.py` makes."""
