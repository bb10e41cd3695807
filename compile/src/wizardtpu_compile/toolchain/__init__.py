"""The vendor's compiler and simulator: installing them, proving them, running them."""
