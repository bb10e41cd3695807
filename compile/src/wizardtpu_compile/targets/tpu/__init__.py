"""A bundle for the BM1684X: every network in one bmodel."""
