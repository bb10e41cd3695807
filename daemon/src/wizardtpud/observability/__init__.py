"""Metrics of the request path, their exposition over HTTP, and structured logs."""
