"""Models that others compiled: what their bmodels and the files beside them tell in place of a manifest."""
