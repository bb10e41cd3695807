"""What Hugging Face transformers computes, kept in small files."""
