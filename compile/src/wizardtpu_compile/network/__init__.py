"""The networks of a bundle, described once, for every emitter to walk."""
