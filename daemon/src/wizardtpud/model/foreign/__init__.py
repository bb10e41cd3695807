"""Models that others compiled: what their bmodels and the files beside them tell."""
