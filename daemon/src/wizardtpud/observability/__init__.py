"""Metrics of the request path, their exposition over HTTP, structured logs, and what is known of a device."""
